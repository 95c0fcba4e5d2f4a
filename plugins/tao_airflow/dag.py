"""What all DAGs of flywheels have in common."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from airflow.sdk import Param

from tao_airflow.approval import ApproveOperator, ReleaseOperator
from tao_airflow.assets import outlets
from tao_airflow.serving import CanarySensor, DeployedSensor
from tao_airflow.stage_operator import StageOperator
from tao_airflow.timetable import FlywheelTimetable
from tao_airflow.turn import PARAM
from tao_ops.config import Flywheel

POOL = "gpu"
"""The stages that load a model share its slots."""

SHORT, LONG = timedelta(hours=1), timedelta(hours=6)


def settings(flywheel: Flywheel) -> dict[str, Any]:
    """Arguments of the DAG of ``flywheel``."""
    return {
        "dag_id": f"flywheel_{flywheel.name}",
        "description": flywheel.description,
        "schedule": FlywheelTimetable(flywheel.schedule, timezone=flywheel.timezone),
        "start_date": datetime(2026, 1, 1, tzinfo=UTC),
        "catchup": False,
        "max_active_runs": 1,
        "tags": ["tao"],
        "default_args": {
            "owner": "tao",
            "retries": 2,
            "retry_delay": timedelta(seconds=30),
            "retry_exponential_backoff": 2.0,
            "max_retry_delay": timedelta(minutes=5),
        },
        "params": {
            PARAM: Param(
                None,
                type=["null", "string"],
                title="Turn",
                description="The turn's start, as 2026-11-21 or 2026-11-21T00:00Z. Empty: the run's own interval, "
                "or the last complete one where the run has no date.",
            )
        },
    }


def stages(flywheel: Flywheel) -> tuple[partial[StageOperator], partial[StageOperator]]:
    """Makers of tasks: for a stage that runs anywhere, and for one that loads a model."""

    def task(stage: str, **kwargs: Any) -> Any:
        declared = outlets(stage, flywheel.name)
        return StageOperator(task_id=stage, stage=stage, flywheel=flywheel.name, outlets=declared, **kwargs)

    return partial(task, execution_timeout=SHORT), partial(task, execution_timeout=LONG, pool=POOL)


def approval(flywheel: Flywheel) -> tuple[ApproveOperator, ReleaseOperator]:
    """The two tasks after ``register``: a person's word on a promotion, and what is done with it."""
    name, limit = flywheel.name, flywheel.gate.approval_limit
    approve = ApproveOperator(task_id="approve", flywheel=name, limit=limit, execution_timeout=SHORT)
    return approve, ReleaseOperator(task_id="release", flywheel=name, execution_timeout=SHORT)


def serving(flywheel: Flywheel) -> tuple[CanarySensor, DeployedSensor]:
    """The last two tasks: a share of the users first, then all servers; neither holds a worker while it waits."""
    name, canary = flywheel.name, flywheel.serve.canary
    limit = timedelta(0) if canary is None else max(canary.limit, canary.time)
    tried = CanarySensor(task_id="canary", flywheel=name, limit=limit, execution_timeout=SHORT)
    limit = flywheel.serve.deployed
    return tried, DeployedSensor(task_id="deployed", flywheel=name, limit=limit, execution_timeout=SHORT)
