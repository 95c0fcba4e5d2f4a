"""Runs one stage of a turn as a process of its own, whose output is the task's log."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

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
from tao_ops.launch.process import Outcome, Process
from tao_ops.launch.stage import stage_command, stage_environment, tao_command
from tao_ops.settings import Settings
from tao_ops.story import MARKED, OWN, READER
from tao_ops.turn import path_safe

TEMPORARY_FAILURE = 75
"""Exit status of ``tao`` for an error that a retry can mend (``EX_TEMPFAIL``)."""

STOP_SECONDS = 3.0
"""Airflow kills a task five seconds after it asked it to end; its process must be gone by then."""

RELEASE_SECONDS = 120.0

LINKS: dict[str, RunLink] = {
    "validate": DataDocsLink(),
    "generate": PicturesLink(),
    "score": PicturesLink(),
    "update": PicturesLink(),
}
"""Where a stage's task leads to."""


class StageOperator(BaseOperator):
    """``tao <stage> <flywheel> --turn … --run-id …`` for the turn of the task's run.

    The stage's report (references and counts, never rows) is its XCom ``report``, and what it returns; ``validate``
    returns the numbers of its shards, since Airflow maps over returned values only. ``TAO_PYTHON`` names the
    interpreter of the stages where it is not Airflow's own.
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
        self._process: Process | None = None
        self._killed = False

    def execute(self, context: Any) -> dict[str, Any] | list[int]:
        """Run the stage; return its report, or its shards."""
        with tempfile.TemporaryDirectory(prefix=f"tao-{self.stage}-") as folder:
            report = Path(folder) / "report.json"
            turn, run_id = self.turn_and_run = identity(context, self.flywheel)
            how: dict[str, Any] = {"shard": self.shard, "report": report, "overrides": overrides(context)}
            command = stage_command(self.stage, self.flywheel, turn, run_id, keep_turn=True, **how)
            self._follow(command, context["dag_run"].dag_id)
            result: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        self.report = result
        context["ti"].xcom_push(key="report", value=result)
        tell_stage(context, self.flywheel, turn, run_id, result)
        return list(range(result["metrics"]["shards"])) if self.stage == "validate" else result

    def get_openlineage_facets_on_start(self) -> Any:
        """What the stage is about to read and write."""
        return openlineage.lineage(self.stage, self.flywheel, None)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """What the stage read and wrote, with the tables' versions; where it failed, as much as is known."""
        return openlineage.lineage(self.stage, self.flywheel, self.report)

    def on_kill(self) -> None:
        """End the stage's whole process group."""
        self._killed = True
        if self._process is not None:
            self._process.stop(STOP_SECONDS)

    def _limit(self) -> float | None:
        """A little less than Airflow's own limit, so that the log says what happened."""
        return self.execution_timeout.total_seconds() * 0.98 if self.execution_timeout else None

    def _follow(self, command: Sequence[str], dag_id: str) -> None:
        """Run the stage's process; its output, and where more is to be seen, is the task's log."""
        environment = {**stage_environment(hash_key=hash_key()), READER: MARKED}
        told = TaskLog(self.log, marked=True, secrets=mask(environment, load_flywheel(self.flywheel)))
        self._process = Process(command, env=environment, with_parent=True)
        if self._killed:  # asked to end before there was anything to end
            self.on_kill()
        try:
            outcome = self._process.follow(told, limit_s=self._limit(), grace_s=STOP_SECONDS)
        finally:
            told.close()
        assert self.turn_and_run is not None
        if self.stage in LINKS:
            self.log.info(LINKS[self.stage].sentence(dag_id, self.turn_and_run))
        for line in whereabouts(dag_id, *self.turn_and_run):
            self.log.info(line)
        self._raise_unless_done(outcome, told)

    def _raise_unless_done(self, outcome: Outcome, told: TaskLog) -> None:
        if outcome.code == 0 and not outcome.timed_out:
            return
        words, can_retry = self._why(outcome, told)
        if words != told.error:
            self.log.error(words)
        raise (AirflowException if can_retry else AirflowFailException)(words)

    def _why(self, outcome: Outcome, told: TaskLog) -> tuple[str, bool]:
        """What happened and what to do, in a line; and whether a retry can help."""
        if outcome.timed_out:
            return (
                f"error: stage {self.stage} was ended after {self._limit():.0f} s, its limit; a retry starts over — "
                "where it takes as long again, give the task more time or the stage less to do",
                True,
            )
        if outcome.stopped:
            return f"error: stage {self.stage} was stopped; a retry starts over — or clear the task", True
        if outcome.signal_name:
            memory = " (out of memory?)" if outcome.signal_name == "SIGKILL" else ""
            return (
                f"error: stage {self.stage} was killed by {outcome.signal_name}{memory}; its retry starts over, and "
                "replaces what it may have committed — where it happens again, see what runs beside it",
                True,
            )
        return told.error or unforeseen(self.stage, outcome, told), outcome.code == TEMPORARY_FAILURE


def unforeseen(name: str, outcome: Outcome, told: TaskLog) -> str:
    """Of a process that failed without a word of what to do."""
    ended = f"error: {name} ended with status {outcome.code}"
    if told.exception is not None:
        return f"{ended}: {told.exception} — see the traceback above; once its cause is mended, clear the task"
    last = " | ".join(line.replace(OWN, " ").strip() for line in outcome.tail[-3:])
    return f"{ended}; it last said: {last or 'nothing'} — once the cause is mended, clear the task"


def hash_key() -> str | None:
    """The key of the hashes from Airflow's secrets, where this machine has none: the Variable ``tao_hash_key``."""
    if Settings.from_env().hash_key:
        return None
    from airflow.sdk import Variable

    found: str | None = Variable.get("tao_hash_key", default=None)
    return found


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
