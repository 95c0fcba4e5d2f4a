"""Manifests and values for a cluster, as far as no cluster is needed: valid by the API's schema, and of one piece."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tao_ops.config import LaunchConfig
from tao_ops.settings import PROJECT

kubernetes_validate = pytest.importorskip("kubernetes_validate")

FOLDER = PROJECT / "docker" / "kubernetes"
VALUES = sorted(FOLDER.glob("values*.yaml"))
MANIFESTS = sorted(set(FOLDER.glob("*.yaml")) - set(VALUES))
VERSION = "1.37.0"
"""Of the published schema."""


def check(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, VERSION, strict=True)


def manifests(*paths: Path) -> list[dict[str, Any]]:
    return [one for path in paths or MANIFESTS for one in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def values(*names: str) -> dict[str, Any]:
    """As Helm lays one file over the other."""
    merged: dict[str, Any] = {}
    for name in names:
        merged = _over(merged, yaml.safe_load((FOLDER / name).read_text(encoding="utf-8")))
    return merged


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    both = {key: _over(below[key], value) for key, value in above.items() if isinstance(below.get(key), dict)}
    return {**below, **above, **both}


def found(value: Any, key: str) -> Iterator[Any]:
    """What goes by a key, at any depth."""
    for name, one in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if name == key:
            yield one
        yield from found(one, key)


def pods() -> dict[str, dict[str, Any]]:
    return {
        one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in manifests() if one["kind"] == "Deployment"
    }


def declared_secrets() -> dict[str, set[str]]:
    return {one["metadata"]["name"]: set(one["stringData"]) for one in manifests() if one["kind"] == "Secret"}


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_are_what_the_apis_published_schema_takes(path: Path) -> None:
    told = manifests(path)
    assert told
    for one in told:
        check(one)


def test_a_field_that_the_schema_does_not_know_is_found() -> None:
    (claim,) = manifests(FOLDER / "lake.yaml")
    claim["spec"]["accessMode"] = "ReadWriteMany"
    with pytest.raises(kubernetes_validate.ValidationError, match="accessMode"):
        check(claim)


def test_no_secret_has_a_value() -> None:
    for one in manifests():
        if one["kind"] == "Secret":
            assert set(one["stringData"].values()) == {""}


def test_every_secret_and_key_that_is_named_is_declared() -> None:
    declared, named = declared_secrets(), set()
    for reference in found(manifests(), "secretKeyRef"):
        named.add((reference["name"], reference["key"]))
    both = values("values.yaml", "values-celery.yaml")
    named |= {(one["secretName"], one["secretKey"]) for one in both["secret"]}
    data, connection = both["data"], "connection"
    named |= {
        (both["fernetKeySecretName"], "fernet-key"),
        (both["apiSecretKeySecretName"], "api-secret-key"),
        (both["jwtSecretName"], "jwt-secret"),
        (data["metadataSecretName"], connection),
        (data["brokerUrlSecretName"], connection),
        (data["resultBackendSecretName"], connection),
    }
    assert named == {(name, key) for name, keys in declared.items() for key in keys}


def test_the_values_hold_no_secret() -> None:
    for path in VALUES:
        text = path.read_text(encoding="utf-8")
        plain = "\n".join(line.partition("#")[0] for line in text.splitlines())
        assert "://" not in plain
        assert not re.search(r"(?i)(pass(word)?|fernetKey|apiSecretKey|jwtSecret|brokerUrl)\s*:", plain), path


@pytest.mark.parametrize("name", sorted(pods()))
def test_a_pod_of_ours_may_do_little(name: str) -> None:
    spec = pods()[name]
    assert spec["securityContext"]["runAsNonRoot"] is True and spec["securityContext"]["runAsUser"] == 50000
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert spec["shareProcessNamespace"] is True
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True and context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["livenessProbe"]
        limits, requests = container["resources"]["limits"], container["resources"]["requests"]
        assert limits["nvidia.com/gpu"] == requests["nvidia.com/gpu"] == "1"
        assert {mount["mountPath"] for mount in container["volumeMounts"]} >= {"/lake", "/tmp", "/dev/shm"}


def test_images_are_pinned() -> None:
    images = [*found(manifests(), "image")]
    both = values("values.yaml")
    images.append(f"{both['defaultAirflowRepository']}:{both['defaultAirflowTag']}")
    assert len(images) == 3
    assert all(re.search(r":\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?$", image) for image in images), images


def test_everything_mounts_the_one_lake_that_is_claimed_at_one_path() -> None:
    (claim,) = (one["metadata"]["name"] for one in manifests() if one["kind"] == "PersistentVolumeClaim")
    claims = {*found(manifests(), "claimName"), *found(values("values.yaml"), "claimName")}
    assert claims == {claim, "airflow-logs"}  # the chart's own, of its release
    told = values("values.yaml")
    assert {"name": "lake", "mountPath": "/lake"} in told["volumeMounts"]
    assert {one["name"]: one["value"] for one in told["env"]}["TAO_LAKE"] == "/lake"


def test_a_server_gets_requests_while_a_model_answers_and_is_not_killed_while_one_is_loaded() -> None:
    (server,) = pods()["tao-serving"]["containers"]
    assert server["readinessProbe"]["httpGet"]["path"] == server["startupProbe"]["httpGet"]["path"] == "/health"
    assert server["startupProbe"]["periodSeconds"] * server["startupProbe"]["failureThreshold"] == 3600
    assert "httpGet" not in server["livenessProbe"]
    (service,) = (one for one in manifests() if one["kind"] == "Service")
    (deployment,) = (
        one for one in manifests() if one["metadata"]["name"] == "tao-serving" and one["kind"] == "Deployment"
    )
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


def test_celery_lies_over_kubernetes_and_each_names_its_executor() -> None:
    assert values("values.yaml")["executor"] == "KubernetesExecutor"
    both = values("values.yaml", "values-celery.yaml")
    assert both["executor"] == "CeleryExecutor"
    assert both["data"]["metadataSecretName"] == "airflow-metadata"
    assert both["config"]["celery_broker_transport_options"]["visibility_timeout"] > 6 * 3600


def test_the_docs_example_is_a_launch() -> None:
    text = (PROJECT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    (block,) = (each for each in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if each.startswith("launch:"))
    launch = LaunchConfig.model_validate(yaml.safe_load(block)["launch"])
    assert launch.model.kubernetes is not None and launch.model.kubernetes.memory_gib == 64
