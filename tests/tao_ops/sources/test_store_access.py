"""A Connection of Airflow signs in to an object store, as it would in Airflow; what is not followed is refused."""

import json
from typing import Any

import pytest

from tao_ops.errors import ConfigError, DataError
from tao_ops.sources import stores
from tao_ops.sources.store_access import delta_options, filesystem_options

AWS = {"login": "AKIA", "password": "secret"}
KEY = {"type": "service_account", "client_email": "reader@shop", "private_key": "very secret"}


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the Connection ``logs``."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    return lambda **told: monkeypatch.setenv("TAO_CONNECTION_LOGS", json.dumps(told))


def test_without_a_connection_the_process_signs_in_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert (filesystem_options("s3://a/*", None), delta_options("s3://a", None)) == ({}, {})
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio:9000")
    assert delta_options("s3://a", None) == {"allow_http": "true"}


@pytest.mark.parametrize("scheme", ["s3", "s3a"])
def test_login_and_password_are_amazons_key(connection: Any, scheme: str) -> None:
    connection(**AWS, extra={"region_name": "eu-west-1", "aws_session_token": "t"})
    assert filesystem_options(f"{scheme}://a/*", "logs") == {
        **{"key": "AKIA", "secret": "secret", "token": "t"},
        "client_kwargs": {"region_name": "eu-west-1"},
    }
    assert delta_options(f"{scheme}://a", "logs") == {
        **{"aws_access_key_id": "AKIA", "aws_secret_access_key": "secret", "aws_session_token": "t"},
        "aws_region": "eu-west-1",
    }


@pytest.mark.parametrize(
    "extra",
    [{"endpoint_url": "http://minio:9000"}, {"service_config": {"s3": {"endpoint_url": "http://minio:9000"}}}],
)
def test_a_store_of_ones_own_has_its_address(connection: Any, extra: dict[str, Any]) -> None:
    connection(**AWS, extra=extra)
    assert filesystem_options("s3://a/*", "logs")["endpoint_url"] == "http://minio:9000"
    told = delta_options("s3://a", "logs")
    assert (told["aws_endpoint_url"], told["allow_http"]) == ("http://minio:9000", "true")


def test_a_file_system_is_made_with_it_and_still_waits_for_no_longer(connection: Any) -> None:
    connection(**AWS, extra={"endpoint_url": "http://minio:9000"})
    filesystem = stores.filesystem_of("s3://logs/*", "logs")
    assert (filesystem.key, filesystem.secret) == ("AKIA", "secret")
    assert filesystem.endpoint_url == "http://minio:9000" and filesystem.config_kwargs["read_timeout"] <= 60


@pytest.mark.parametrize("key", [KEY, json.dumps(KEY)])
def test_googles_key_is_taken_whole(connection: Any, key: Any) -> None:
    connection(extra={"keyfile_dict": key, "project": "shop"})
    assert filesystem_options("gs://a/*", "logs") == {"token": KEY, "project": "shop"}
    assert json.loads(delta_options("gcs://a", "logs")["google_service_account_key"]) == KEY


def test_googles_key_may_lie_in_a_file(connection: Any) -> None:
    connection(extra={"key_path": "/run/secrets/google.json"})
    assert filesystem_options("gs://a/*", "logs") == {"token": "/run/secrets/google.json"}
    assert delta_options("gs://a", "logs") == {"google_service_account": "/run/secrets/google.json"}


def test_a_key_that_is_no_json_is_not_quoted(connection: Any) -> None:
    connection(extra={"keyfile_dict": "-----BEGIN very secret"})
    with pytest.raises(ConfigError, match="'logs' has no key in 'keyfile_dict'") as caught:
        filesystem_options("gs://a/*", "logs")
    assert "very secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "extra"),
    [("s3://a/*", {"role_arn": "arn:aws:iam::1:role/x"}), ("gs://a/*", {"impersonation_chain": "x@shop"})],
)
def test_another_account_is_not_followed_and_not_passed_over(connection: Any, path: str, extra: dict[str, Any]) -> None:
    connection(extra=extra)
    with pytest.raises(ConfigError, match=f"'logs' holds '{next(iter(extra))}', which stages do not follow"):
        filesystem_options(path, "logs")
    with pytest.raises(ConfigError, match="do not follow"):
        delta_options(path, "logs")


def test_a_local_folder_is_not_signed_in_to(connection: Any) -> None:
    connection(**AWS)
    with pytest.raises(DataError, match=r"s3:// and gs:// only .*logs/x.jsonl"):
        filesystem_options("/logs/x.jsonl", "logs")


def test_an_unknown_connection_is_said_and_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAO_CONNECTION_LOGS", raising=False)
    with pytest.raises(ConfigError, match="'logs' is not known here"), stores.reaching("s3://a/*"):
        stores.filesystem_of("s3://a/*", "logs")
