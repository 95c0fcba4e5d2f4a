"""Connections of Airflow as a stage finds them: in its environment, as JSON or as a URI, and never in an error."""

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from tao_ops.config import GenerateConfig, ServerConfig, SourceConfig
from tao_ops.config.base import Strict
from tao_ops.config.connections import Connection, ConnectionId, connection_ids, read_connection, variable
from tao_ops.errors import ConfigError

SECRET = "p@ss/word+1"


class Part(Strict):
    """Stands for a flywheel."""

    sources: tuple[SourceConfig, ...] = ()
    generate: GenerateConfig = GenerateConfig()
    launch: SourceConfig | None = None


def test_it_is_read_from_the_json_that_a_task_hands_over() -> None:
    told = {"conn_type": "aws", "login": "AKIA", "password": SECRET, "extra": {"region_name": "eu-west-1"}}
    found = read_connection("logs-s3", {"TAO_CONNECTION_LOGS_S3": json.dumps(told)})
    assert found == Connection("logs-s3", "AKIA", SECRET, {"region_name": "eu-west-1"})


@pytest.mark.parametrize(
    "uri",
    [
        "aws://AKIA:p%40ss%2Fword%2B1@/?region_name=eu-west-1",
        "aws://AKIA:p%40ss%2Fword%2B1@/?__extra__=%7B%22region_name%22%3A+%22eu-west-1%22%7D",
        '{"login": "AKIA", "password": "p@ss/word+1", "extra": "{\\"region_name\\": \\"eu-west-1\\"}"}',
    ],
)
def test_without_airflow_its_own_variable_is_read(uri: str) -> None:
    assert read_connection("logs", {"AIRFLOW_CONN_LOGS": uri}) == Connection(
        "logs", "AKIA", SECRET, {"region_name": "eu-west-1"}
    )


def test_it_is_read_as_airflow_writes_it() -> None:
    from airflow.sdk import Connection as Airflows

    extra = {"region_name": "eu-west-1", "service_config": {"s3": {"endpoint_url": "http://minio:9000"}}}
    made = Airflows(conn_id="logs", conn_type="aws", login="AKIA", password=SECRET, extra=json.dumps(extra))
    for written in (made.as_json(), made.get_uri()):
        assert read_connection("logs", {"AIRFLOW_CONN_LOGS": written}) == Connection("logs", "AKIA", SECRET, extra)


def test_what_a_task_hands_over_comes_first() -> None:
    both = {"TAO_CONNECTION_A": '{"password": "handed"}', "AIRFLOW_CONN_A": "http://:own@"}
    assert read_connection("a", both).password == "handed"


def test_one_that_is_nowhere_leads_to_its_variable() -> None:
    with pytest.raises(ConfigError, match=r"Connection 'logs-s3' is not known here .TAO_CONNECTION_LOGS_S3"):
        read_connection("logs-s3", {"TAO_CONNECTION_LOGS_S3": ""})


@pytest.mark.parametrize("broken", [f'{{"password": "{SECRET}"', SECRET, f'{{"password": "{SECRET}", "extra": "x"}}'])
def test_one_that_cannot_be_read_is_not_quoted(broken: str) -> None:
    with pytest.raises(ConfigError, match="'a' cannot be read .TAO_CONNECTION_A") as caught:
        read_connection("a", {"TAO_CONNECTION_A": broken})
    assert SECRET not in str(caught.value) and caught.value.__cause__ is None


def test_a_connection_shows_no_secret() -> None:
    assert SECRET not in repr(Connection("a", "me", SECRET, {"aws_session_token": SECRET}))


def test_all_that_a_yaml_names_are_found() -> None:
    server = ServerConfig(url="http://x/v1", model="m", connection="teacher")
    sources = (SourceConfig(path="s3://a/*", connection="logs"), SourceConfig(path="b/*"))
    part = Part(sources=sources, generate=GenerateConfig(server=server))
    assert connection_ids(part) == ["logs", "teacher"]


def test_where_a_stage_runs_is_no_secret_of_its_own() -> None:
    assert connection_ids(Part(launch=SourceConfig(path="x", connection="cluster"))) == []


def test_two_that_would_share_a_variable_are_refused() -> None:
    assert variable("logs-s3") == variable("logs_S3")
    sources = tuple(SourceConfig(path="s3://a/*", connection=name) for name in ("logs-s3", "logs_S3"))
    with pytest.raises(ConfigError, match="'logs-s3' and 'logs_S3' are told apart by too little"):
        connection_ids(Part(sources=sources))


@pytest.mark.parametrize("id", ["", "a b", "postgres://me:secret@db", "-x"])
def test_an_id_is_no_address_and_no_secret(id: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(ConnectionId).validate_python(id)


def test_a_server_has_one_key() -> None:
    with pytest.raises(ValidationError, match="both name a key"):
        ServerConfig(url="http://x/v1", model="m", api_key="${KEY}", connection="teacher")
