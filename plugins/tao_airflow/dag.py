"""What all DAGs of flywheels have in common."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from airflow.sdk import TaskGroup, task_group

from tao_airflow import notices, task_docs
from tao_airflow.approval import ApproveOperator, ReleaseOperator
from tao_airflow.assets import outlets
from tao_airflow.run_files import DAG_PREFIX
from tao_airflow.serving import CanarySensor, DeployedSensor
from tao_airflow.stage_operator import StageOperator
from tao_airflow.stage_task import StageTask
from tao_airflow.timetable import FlywheelTimetable
from tao_airflow.turn_form import form
from tao_ops.config import Flywheel, NoticeOn, PlaceConfig
from tao_ops.errors import ConfigError

POOL = "gpu"
"""The stages that load a model share its slots."""

LOAD_A_MODEL = ("generate", "score", "update", "evaluate")

TAG = "tao"
SHORT, LONG = timedelta(hours=1), timedelta(hours=6)

LABEL = "shard {{ task.shard + 1 }} of {{ ti.xcom_pull(task_ids='validate') | length }}"
"""What the UI calls a task that is mapped over shards."""


def settings(flywheel: Flywheel) -> dict[str, Any]:
    """Arguments of the DAG of ``flywheel``.

    Raises:
        ConfigError: a notifier that its YAML names cannot be made, or the provider of a cluster is missing.
    """
    notices.check(flywheel)
    for part in ("light", "model"):
        _operator(flywheel, part)
    return {
        "dag_id": f"{DAG_PREFIX}{flywheel.name}",
        "description": flywheel.description,
        "schedule": FlywheelTimetable(flywheel.schedule, timezone=flywheel.timezone),
        "start_date": datetime(2026, 1, 1, tzinfo=UTC),
        "catchup": False,
        "max_active_runs": 1,
        "tags": [TAG, *flywheel.operation.tags],
        "deadline": notices.deadline(flywheel),
        "on_failure_callback": notices.of(flywheel, NoticeOn.FAILURE) or None,
        "default_args": {
            "owner": flywheel.operation.owner,
            "retries": 2,
            "retry_delay": timedelta(seconds=30),
            "retry_exponential_backoff": 2.0,
            "max_retry_delay": timedelta(minutes=5),
        },
        "params": form(flywheel),
    }


def group(name: str, tooltip: str) -> TaskGroup:
    """Tasks that the UI folds into one; their ids stay as they are."""
    return TaskGroup(name, tooltip=tooltip, prefix_group_id=False)


each_shard = partial(task_group, tooltip="Many responses to each query, and their rewards: once for each shard.")
"""A group that is mapped over shards."""


def stages(flywheel: Flywheel) -> tuple[Callable[..., StageTask], Callable[..., StageTask]]:
    """Makers of tasks: for a stage that is soon done, and for one that works a model for hours."""

    def task(stage: str, **kwargs: Any) -> StageTask:
        part = "model" if stage in LOAD_A_MODEL else "light"
        declared = outlets(stage, flywheel.name)
        label = {"map_index_template": LABEL} if "shard" in kwargs else {}
        told = _told(flywheel) if stage == "register" else {}
        where = _slots(getattr(flywheel.launch, part), _pool(stage, flywheel.launch.model))
        how = {"doc_md": task_docs.of_task(stage), **label, **told, **where, **kwargs}
        make = _operator(flywheel, part)
        return make(task_id=stage, stage=stage, flywheel=flywheel.name, outlets=declared, **how)

    return partial(task, execution_timeout=SHORT), partial(task, execution_timeout=LONG)


def _pool(stage: str, model: PlaceConfig) -> str | None:
    """The pool of a stage whose place names none."""
    # A scorer may be a model or not: where models have a place of their own, scores are made there, in their turn.
    alone = stage == "score" and model == PlaceConfig()
    return POOL if stage in LOAD_A_MODEL and not alone else None


def _slots(place: PlaceConfig, pool: str | None = None) -> dict[str, Any]:
    """Queue and pool of a task, where they are not Airflow's own."""
    told = {"queue": place.queue, "pool": place.pool or pool}
    return {name: value for name, value in told.items() if value is not None}


def _operator(flywheel: Flywheel, part: str) -> Callable[..., StageTask]:
    """What makes the tasks of a part of the flywheel's ``launch``; imported where it is named, for its packages.

    Raises:
        ConfigError: the provider of the cluster that it names is not installed.
    """
    place: PlaceConfig = getattr(flywheel.launch, part)
    if place.ray is not None:
        from tao_airflow.ray_operator import RayStageOperator

        return partial(RayStageOperator, ray=place.ray)
    if place.kubernetes is None:
        return StageOperator
    try:
        from tao_airflow.pod_operator import PodStageOperator
    except ImportError as error:
        yaml = f"{flywheel.file('flywheels')}/{flywheel.name}.yaml: launch.{part}.kubernetes"
        mend = "install apache-airflow-providers-cncf-kubernetes where Airflow runs, or leave 'kubernetes' out"
        raise ConfigError(f"stages cannot run as pods: {error}", where=yaml, mend=mend) from None
    return partial(PodStageOperator, kubernetes=place.kubernetes)


def approval(flywheel: Flywheel) -> tuple[ApproveOperator, ReleaseOperator]:
    """The two tasks after ``register``: a person's word on a promotion, and what is done with it."""
    limit, asked = flywheel.gate.approval_limit, notices.of(flywheel, NoticeOn.APPROVAL)
    approve = ApproveOperator(**_about("approve", flywheel), limit=limit, notifiers=asked)
    return approve, ReleaseOperator(**_about("release", flywheel), **_told(flywheel))


def serving(flywheel: Flywheel) -> tuple[CanarySensor, DeployedSensor]:
    """The last two tasks: a share of the users first, then all servers; neither holds a worker while it waits."""
    canary = flywheel.serve.canary
    limit = timedelta(0) if canary is None else max(canary.limit, canary.time)
    tried = CanarySensor(**_about("canary", flywheel), **_told(flywheel), limit=limit)
    return tried, DeployedSensor(**_about("deployed", flywheel), limit=flywheel.serve.deployed)


def _about(task: str, flywheel: Flywheel) -> dict[str, Any]:
    """What the tasks that are no stages have in common."""
    described = {"task_id": task, "doc_md": task_docs.of_task(task), **_slots(flywheel.launch.light)}
    return {**described, "flywheel": flywheel.name, "execution_timeout": SHORT}


def _told(flywheel: Flywheel) -> dict[str, Any]:
    """For the tasks that may move the champion: who hears of it."""
    return {"on_success_callback": notices.of(flywheel, NoticeOn.PROMOTE)}
