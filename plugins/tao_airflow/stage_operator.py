"""Runs one stage of a turn as a process of its own beside Airflow's worker; its output is the task's log."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from tao_airflow.connections import handed_over
from tao_airflow.stage_task import STOP_SECONDS, TEMPORARY_FAILURE, StageTask, own_limit
from tao_airflow.task_log import TaskLog, mask
from tao_ops.config import load_flywheel
from tao_ops.launch.process import Outcome, Process
from tao_ops.launch.stage import stage_environment
from tao_ops.settings import Settings
from tao_ops.story import MARKED, OWN, READER


class StageOperator(StageTask):
    """The stage as a process on the worker; ``TAO_PYTHON`` names its interpreter where it is not Airflow's own."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._process: Process | None = None
        self._killed = False

    def execute(self, context: Any) -> dict[str, Any] | list[int]:
        """Run the stage; return its report, or its shards."""
        with tempfile.TemporaryDirectory(prefix=f"tao-{self.stage}-") as folder:
            report = Path(folder) / "report.json"
            self._follow(self.command(context, report), context)
            return self.result(context, report)

    def on_kill(self) -> None:
        """End the stage's whole process group."""
        self._killed = True
        if self._process is not None:
            self._process.stop(STOP_SECONDS)

    def _follow(self, command: Sequence[str], context: Any) -> None:
        """Run the stage's process; its output, and where more is to be seen, is the task's log."""
        environment = {**stage_environment(hash_key=hash_key()), **handed_over(self.flywheel), READER: MARKED}
        told = TaskLog(self.log, marked=True, secrets=mask(environment, load_flywheel(self.flywheel)))
        self._process = Process(command, env=environment, with_parent=True)
        if self._killed:  # asked to end before there was anything to end
            self.on_kill()
        try:
            outcome = self._process.follow(told, limit_s=own_limit(self), grace_s=STOP_SECONDS)
        finally:
            told.close()
        self.tell_more(context)
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
                f"error: stage {self.stage} was ended after {own_limit(self):.0f} s, its limit; a retry starts over — "
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
