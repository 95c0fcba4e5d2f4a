"""The section ``launch``: on which queue, pool and cluster the tasks run; it makes no other turn."""

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from tao_ops.config import LaunchConfig, PlaceConfig, RayConfig

RAY = {"address": "http://ray-head:8265"}
POD = {
    "image": "registry.example.com/tao-gpu-worker:0.1.0",
    "volumes": {"lake": {"claim": "tao-lake", "mount": "/lake"}},
    "secrets": {"TAO_DATABASE_URL": {"secret": "tao", "key": "url"}},
}


def refused(told: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        LaunchConfig.model_validate(told)
    return str(caught.value.errors()[0]["msg"])


def test_where_nothing_is_said_airflow_decides() -> None:
    assert LaunchConfig() == LaunchConfig(light=PlaceConfig(), model=PlaceConfig())
    assert PlaceConfig().model_dump() == {"queue": None, "pool": None, "ray": None, "kubernetes": None}


def test_it_is_written_plainly() -> None:
    config = LaunchConfig.model_validate(
        yaml.safe_load(
            """
            light: {queue: default}
            model:
              queue: gpu
              pool: two_gpus
              ray: {address: "http://ray-head:8265"}
            """
        )
    )
    assert (config.light.queue, config.light.pool) == ("default", None)
    assert (config.model.queue, config.model.pool) == ("gpu", "two_gpus")
    assert config.model.ray == RayConfig(**RAY) and config.model.kubernetes is None


def test_either_cluster_may_be_named_but_not_both() -> None:
    assert LaunchConfig.model_validate({"model": {"kubernetes": POD}}).model.kubernetes is not None
    assert "leave one out" in refused({"model": {"ray": RAY, "kubernetes": POD}})
    LaunchConfig.model_validate({"light": {"kubernetes": POD}, "model": {"ray": RAY}})  # another place, another cluster


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"model": {"queue": "gpu,cpu"}}, "should match pattern"),  # a worker's list of two
        ({"model": {"queue": ""}}, "should match pattern"),
        ({"model": {"pool": ""}}, "at least 1 character"),
        ({"model": {"quue": "gpu"}}, "Extra inputs are not permitted"),
        ({"heavy": {"queue": "gpu"}}, "Extra inputs are not permitted"),
    ],
)
def test_what_is_wrong_is_said(told: dict[str, Any], said: str) -> None:
    assert said in refused(told)
