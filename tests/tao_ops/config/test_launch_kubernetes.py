"""What a YAML may say of a stage's pod, and what it is told where that cannot be right."""

from typing import Any

import pytest
from pydantic import ValidationError

from tao_ops.config import KubernetesConfig

DIGEST = f"sha256:{'0f' * 32}"


def given(**changes: Any) -> dict[str, Any]:
    return {
        "image": "registry.example.com:5000/team/tao-gpu-worker:0.1.0",
        "volumes": {"lake": {"claim": "tao-lake", "mount": "/lake"}},
        "secrets": {"TAO_DATABASE_URL": {"secret": "tao", "key": "database-url"}},
        **changes,
    }


def refused(**changes: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        KubernetesConfig.model_validate(given(**changes))
    return "; ".join(str(error["msg"]) for error in caught.value.errors())


def test_an_image_a_claim_for_the_lake_and_the_database_are_enough() -> None:
    config = KubernetesConfig.model_validate(given())
    assert (config.gpus, config.gpu_resource, config.namespace, config.user) == (1, "nvidia.com/gpu", "default", 50000)
    assert KubernetesConfig.model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    "image", ["tao:0.1.0", f"tao@{DIGEST}", f"tao:latest@{DIGEST}", "host:5000/a/b:v1", f"host:5000/a/b:v1@{DIGEST}"]
)
def test_an_image_has_a_tag_or_a_digest(image: str) -> None:
    assert KubernetesConfig.model_validate(given(image=image)).image == image


@pytest.mark.parametrize("image", ["tao", "tao:latest", "host:5000/tao", "host:5000/tao:latest"])
def test_an_image_that_changes_under_its_name_is_refused(image: str) -> None:
    assert "name a tag other than 'latest', or a digest" in refused(image=image)


@pytest.mark.parametrize("image", ["", "a b:1", "tao@sha256:0f", ":1", "tao:1:2", "tao:-1"])
def test_what_is_no_image_is_refused(image: str) -> None:
    assert "not the name of an image" in refused(image=image)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_TOKEN", "hf_1234"),
        ("PARTNER_API_KEY", 2468),
        ("DB_PASSWORD", "{{ var.value.password }}"),
        ("HTTPS_PROXY", "http://me:open-sesame@proxy:3128"),
    ],
)
def test_a_secret_is_named_and_never_written_out(name: str, value: str) -> None:
    told = refused(environment={name: value})
    assert f"'{name}' looks like a secret: name a Secret of the cluster under 'secrets'" in told
    assert str(value) not in told


def test_a_variable_is_a_text_and_may_look_like_a_number() -> None:
    config = KubernetesConfig.model_validate(given(environment={"OMP_NUM_THREADS": 4, "HF_HOME": "/lake/hub"}))
    assert config.environment == {"OMP_NUM_THREADS": "4", "HF_HOME": "/lake/hub"}


def test_without_the_database_a_pod_would_hold_no_turn() -> None:
    assert "'secrets' lacks TAO_DATABASE_URL" in refused(secrets={})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"volumes": {}}, "at least 1 item"),
        ({"volumes": {"a": {"claim": "c", "mount": "/data"}}}, "'lake', /lake, is on none of the 'volumes'"),
        ({"volumes": {"a": {"claim": "c", "mount": "/lak"}}}, "'lake', /lake, is on none of the 'volumes'"),
        (
            {"volumes": {"a": {"claim": "c", "mount": "/lake", "read_only": True}}},
            "the volume of 'lake' is 'read_only'",
        ),
        (
            {"volumes": {"a": {"claim": "c", "mount": "/lake"}, "b": {"claim": "d", "mount": "/lake"}}},
            "two 'volumes' have the same 'mount'",
        ),
        (
            {"volumes": {"a": {"claim": "c", "mount": "/tmp"}}, "lake": "/tmp/lake", "home": "/tmp"},
            "cannot be mounted on /tmp",
        ),
        ({"home": "/home/tao"}, "'home', /home/tao, is on none of the 'volumes' (mounted on /lake)"),
        ({"volumes": {"scratch": {"claim": "c", "mount": "/lake"}}}, "volumes of the pod's own: use other names"),
        ({"volumes": {"Lake": {"claim": "c", "mount": "/lake"}}}, "should match pattern"),
        ({"volumes": {"lake": {"claim": "c", "mount": "lake"}}}, "should match pattern"),
        ({"shared_memory_gib": 16, "memory_gib": 16}, "'shared_memory_gib' is part of 'memory_gib'"),
        ({"cpu_limit": 2, "cpus": 4}, "'cpu_limit' is below 'cpus'"),
        ({"memory_gib": float("inf")}, "finite number"),
        ({"stages": {"update": {"memory_gib": 4}}}, "'shared_memory_gib' is part of 'memory_gib'"),
        ({"stages": {"train": {"gpus": 8}}}, "Input should be 'ingest', 'validate'"),
        ({"secrets": {"TAO_LAKE": {"secret": "tao", "key": "lake"}}}, "TAO_LAKE is set by the operator"),
        ({"environment": {"TAO_LAKE": "/data"}}, "TAO_LAKE is set by the operator"),
        ({"environment": {"TAO_DATABASE_URL": "postgresql://db/tao"}}, "in 'secrets' and in 'environment'"),
        ({"user": 0}, "greater than or equal to 1"),
        ({"start_limit": "0s"}, "at least one second"),
        ({"namespace": "My_Space"}, "should match pattern"),
        ({"node_selector": {"gpu": "a b"}}, "should match pattern"),
        ({"tolerations": [{"key": "gpu", "operator": "Exists", "value": "yes"}]}, "'Exists' takes no 'value'"),
        ({"tolerations": [{"value": "yes"}]}, "'Equal' compares the value of a 'key'"),
        ({"secrets": {"TAO_DATABASE_URL": "postgresql://db/tao"}}, "valid dictionary"),
        ({"privileged": True}, "Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_right_is_told(changes: dict[str, Any], said: str) -> None:
    assert said in refused(**changes)


def test_a_stage_may_hold_other_amounts() -> None:
    told = given(gpus=1, memory_gib=64, stages={"update": {"gpus": 8, "memory_gib": 512}, "score": {"gpus": 0}})
    config = KubernetesConfig.model_validate(told)
    amounts = {stage: config.amounts(stage) for stage in ("generate", "score", "update")}
    assert {stage: (one.gpus, one.memory_gib, one.cpus) for stage, one in amounts.items()} == {
        "generate": (1, 64, 4),
        "score": (0, 64, 4),
        "update": (8, 512, 4),
    }


def test_a_folder_is_on_the_nearest_volume_above_it() -> None:
    above = {"claim": "a", "mount": "/data"}
    places = {"lake": "/data/lake/tao", "home": "/data/home"}
    inner = {"claim": "b", "mount": "/data/lake", "read_only": True}
    assert "the volume of 'lake' is 'read_only'" in refused(volumes={"all": above, "lake": inner}, **places)
    other = {"claim": "b", "mount": "/data/hub", "read_only": True}
    KubernetesConfig.model_validate(given(volumes={"all": above, "hub": other}, **places))
