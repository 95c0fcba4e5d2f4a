"""What all DAGs of flywheels have in common."""

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
from tao_airflow.timetable import FlywheelTimetable
from tao_airflow.turn_form import form
from tao_ops.config import Flywheel, NoticeOn

POOL = "gpu"
"""The stages that load a model share its slots."""

TAG = "tao"
SHORT, LONG = timedelta(hours=1), timedelta(hours=6)

LABEL = "shard {{ task.shard + 1 }} of {{ ti.xcom_pull(task_ids='validate') | length }}"
"""What the UI calls a task that is mapped over shards."""


def settings(flywheel: Flywheel) -> dict[str, Any]:
    """Arguments of the DAG of ``flywheel``.

    Raises:
        ConfigError: a notifier that its YAML names cannot be made.
    """
    notices.check(flywheel)
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


def stages(flywheel: Flywheel) -> tuple[partial[StageOperator], partial[StageOperator]]:
    """Makers of tasks: for a stage that runs anywhere, and for one that loads a model."""

    def task(stage: str, **kwargs: Any) -> Any:
        declared = outlets(stage, flywheel.name)
        label = {"map_index_template": LABEL} if "shard" in kwargs else {}
        told = _told(flywheel) if stage == "register" else {}
        how = {"doc_md": task_docs.of_task(stage), **label, **told, **kwargs}
        return StageOperator(task_id=stage, stage=stage, flywheel=flywheel.name, outlets=declared, **how)

    return partial(task, execution_timeout=SHORT), partial(task, execution_timeout=LONG, pool=POOL)


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
    described = {"task_id": task, "doc_md": task_docs.of_task(task)}
    return {**described, "flywheel": flywheel.name, "execution_timeout": SHORT}


def _told(flywheel: Flywheel) -> dict[str, Any]:
    """For the tasks that may move the champion: who hears of it."""
    return {"on_success_callback": notices.of(flywheel, NoticeOn.PROMOTE)}
