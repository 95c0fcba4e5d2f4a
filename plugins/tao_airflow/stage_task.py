"""What every task of a stage has, wherever the stage's process runs."""

import json
import time
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from tao_airflow import openlineage
from tao_airflow.assets import tell_stage
from tao_airflow.data_docs import DataDocsLink
from tao_airflow.pictures import PicturesLink
from tao_airflow.run_files import RunLink, whereabouts
from tao_airflow.task_log import TaskLog, mask
from tao_airflow.turn import turn_of
from tao_airflow.turn_form import overrides
from tao_ops.config import load_flywheel
from tao_ops.errors import ConfigError
from tao_ops.launch.process import Process
from tao_ops.launch.stage import stage_command, stage_environment, tao_command
from tao_ops.turn import path_safe

TEMPORARY_FAILURE = 75
"""Exit status of ``tao`` for an error that a retry can mend (``EX_TEMPFAIL``)."""

STOP_SECONDS = 3.0
"""Airflow kills a task five seconds after it asked it to end; its process must be gone by then."""

RELEASE_SECONDS = 120.0

LOOK_SECONDS = 1.0
"""Between two looks for a report that another machine wrote."""

LINKS: dict[str, RunLink] = {
    "validate": DataDocsLink(),
    "generate": PicturesLink(),
    "score": PicturesLink(),
    "update": PicturesLink(),
}
"""Where a stage's task leads to."""


class StageTask(BaseOperator):
    """``tao <stage> <flywheel> --turn … --run-id …`` for the turn of the task's run.

    The stage's report (references and counts, never rows) is its XCom ``report``, and what it returns; ``validate``
    returns the numbers of its shards, since Airflow maps over returned values only. Where the process runs is each
    operator's own.
    """

    template_fields = ("shard",)
    ui_color = "#e8f0fe"

    def __init__(self, *, stage: str, flywheel: str, shard: int | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("on_failure_callback", release_turn)
        super().__init__(**kwargs)
        self.stage, self.flywheel, self.shard = stage, flywheel, shard
        self.turn_and_run: tuple[str, str] | None = None
        self.report: dict[str, Any] | None = None
        if stage in LINKS:
            self.operator_extra_links = (LINKS[stage],)

    def command(self, context: Any, report: Path, python: str | None = None) -> list[str]:
        """The stage's command line for the task's run; it writes its report to ``report``."""
        turn, run_id = self.turn_and_run = identity(context, self.flywheel)
        how: dict[str, Any] = {"shard": self.shard, "report": report, "overrides": overrides(context), "python": python}
        return stage_command(self.stage, self.flywheel, turn, run_id, keep_turn=True, **how)

    def tell_more(self, context: Any) -> None:
        """Say in the task's log where more is to be seen, of a failed stage too."""
        assert self.turn_and_run is not None
        dag_id = context["dag_run"].dag_id
        if self.stage in LINKS:
            self.log.info(LINKS[self.stage].sentence(dag_id, self.turn_and_run))
        for line in whereabouts(dag_id, *self.turn_and_run):
            self.log.info(line)

    def result(self, context: Any, report: Path) -> dict[str, Any] | list[int]:
        """Read the report of a stage that has succeeded, tell Airflow of it, and return what the task returns."""
        assert self.turn_and_run is not None
        told: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        self.report = told
        context["ti"].xcom_push(key="report", value=told)
        tell_stage(context, self.flywheel, *self.turn_and_run, told)
        return list(range(told["metrics"]["shards"])) if self.stage == "validate" else told

    def get_openlineage_facets_on_start(self) -> Any:
        """What the stage is about to read and write."""
        return openlineage.lineage(self.stage, self.flywheel, None)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """What the stage read and wrote, with the tables' versions; where it failed, as much as is known."""
        return openlineage.lineage(self.stage, self.flywheel, self.report)


def own_limit(task: BaseOperator) -> float | None:
    """A little less than Airflow's own limit of a task, in seconds, so that the log says what happened."""
    return task.execution_timeout.total_seconds() * 0.98 if task.execution_timeout else None


def make_room(report: Path) -> None:
    """For a report that another machine is about to write; what an earlier try has left there is removed."""
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)


def arrived(report: Path, limit_s: float) -> bool:
    """Whether a report that another machine wrote is seen in the shared folder, within so many seconds."""
    until = time.monotonic() + limit_s
    while not report.is_file():
        if time.monotonic() > until:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def release_turn(context: Any) -> None:
    """Give the run's turn back once a task has failed for good, so that another run may take it at once."""
    task = context["task"]
    turn, run_id = identity(context, task.flywheel)
    command = tao_command("turn", "release", task.flywheel, "--turn", turn, "--run-id", run_id)
    environment = stage_environment()
    told = TaskLog(task.log, secrets=mask(environment))
    Process(command, env=environment).follow(told, limit_s=RELEASE_SECONDS, grace_s=STOP_SECONDS)
    told.close()


def identity(context: Any, flywheel: str) -> tuple[str, str]:
    """The key of the turn of a task's run, and the run's id as stages know it."""
    try:
        turn = turn_of(context, load_flywheel(flywheel))
    except ConfigError as error:
        raise AirflowFailException(f"error: {error}") from None
    return turn.key, path_safe(context["dag_run"].run_id)
