"""The section ``launch.model.ray``: a cluster, what a stage's job holds of it, and nothing that is secret."""

from datetime import timedelta
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from tao_ops.config.launch_ray import RayAmounts, RayConfig

HEAD = "http://ray-head:8265"


def refused(**told: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        RayConfig.model_validate({"connection": "ray", **told})
    return str(caught.value.errors()[0]["msg"])


def test_it_is_written_plainly_and_a_stage_may_hold_more() -> None:
    config = RayConfig.model_validate(
        yaml.safe_load(
            """
            address: http://ray-head:8265/
            cpus: 4
            resources: {fast_disk: 1}
            stages:
              update: {gpus: 8, memory_gib: 200}
              score: {gpus: 0}
            python: /opt/tao/bin/python
            environment: {HF_HOME: /models, OMP_NUM_THREADS: 8, WANDB_MODE: }
            limit_lost: 30m
            """
        )
    )
    assert config.address == HEAD and config.limit_lost == timedelta(minutes=30)
    assert config.environment == {"HF_HOME": "/models", "OMP_NUM_THREADS": "8", "WANDB_MODE": None}
    shared: dict[str, Any] = {"cpus": 4, "resources": {"fast_disk": 1}}
    assert config.amounts("update") == RayAmounts(gpus=8, memory_gib=200, **shared)
    assert config.amounts("score") == RayAmounts(gpus=0, **shared)
    assert config.amounts("generate") == RayAmounts(gpus=1, **shared)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"address": HEAD}, "name 'address' or 'connection', one of the two"),
        ({"connection": None}, "name 'address' or 'connection', one of the two"),
        ({"connection": None, "address": "ray://head:10001"}, "begins with http:// or https://"),
        ({"connection": None, "address": "http://me:hunter2@head:8265"}, "name a connection of Airflow instead"),
        ({"connection": None, "address": "http://head:8265?token=hunter2"}, "name a connection of Airflow instead"),
        ({"gpus": -1}, "greater than or equal to 0"),
        ({"stages": {"train": {"gpus": 1}}}, "Input should be 'ingest'"),
        ({"limit_lost": "0s"}, "'limit_lost' is longer than that"),
        ({"runtime_env": {"env_vars": {"A": "b"}}}, "variables of the job belong into 'environment'"),
        ({"runtime_env": {"working_dir": "./code"}}, "'working_dir' is an address that the nodes can fetch"),
        ({"environment": {"1A": "b"}}, "should match pattern"),
    ],
)
def test_what_cannot_be_meant_is_refused(told: dict[str, Any], said: str) -> None:
    message = refused(**told)
    assert said in message and "hunter2" not in message


@pytest.mark.parametrize(
    "told",
    [
        {"environment": {"HF_TOKEN": "hunter2"}},
        {"environment": {"AWS_SECRET_ACCESS_KEY": None}},
        {"environment": {"TAO_HASH_KEY": "hunter2"}},
        {"environment": {"TAO_DATABASE_URL": "postgresql://tao:hunter2@db/tao"}},
        {"runtime_env": {"config": {"password": "hunter2"}}},
        {"runtime_env": {"pip": ["--index-url=https://me:hunter2@packages"]}},
    ],
)
def test_a_secret_is_refused_without_being_told(told: dict[str, Any]) -> None:
    message = refused(**told)
    assert "looks like a secret, and Ray's dashboard shows it" in message and "hunter2" not in message


def test_the_place_of_a_secret_is_none() -> None:
    places: dict[str, str | None] = {"TAO_HASH_KEY_FILE": "/run/secrets/key", "PGPASSFILE": "/run/secrets/pgpass"}
    assert RayConfig(connection="ray", environment=places).environment == places
