"""Runs a command of ``tao`` that belongs to no turn as a process of its own, whose output is the task's log."""

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from tao_airflow.stage_operator import unforeseen
from tao_airflow.stage_task import STOP_SECONDS, TEMPORARY_FAILURE, own_limit
from tao_airflow.task_log import TaskLog, mask
from tao_ops.launch.process import Outcome, Process
from tao_ops.launch.stage import stage_environment, tao_command


class CommandOperator(BaseOperator):
    """``tao <command>``, for example ``("lake", "maintain")``; ``TAO_PYTHON`` names another interpreter for it."""

    def __init__(self, *, command: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.command = tuple(command)
        self._process: Process | None = None
        self._killed = False

    def environment(self) -> dict[str, str]:
        """Of the command's process."""
        return stage_environment()

    def execute(self, context: Any) -> None:
        """Run the command to its end."""
        environment = self.environment()
        told = TaskLog(self.log, secrets=mask(environment))
        self._process = Process(tao_command(*self.command), env=environment, with_parent=True)
        if self._killed:  # asked to end before there was anything to end
            self.on_kill()
        try:
            outcome = self._process.follow(told, limit_s=own_limit(self), grace_s=STOP_SECONDS)
        finally:
            told.close()
        self._raise_unless_done(outcome, told)

    def on_kill(self) -> None:
        """End the command's whole process group."""
        self._killed = True
        if self._process is not None:
            self._process.stop(STOP_SECONDS)

    def _raise_unless_done(self, outcome: Outcome, told: TaskLog) -> None:
        if outcome.code == 0 and not outcome.timed_out:
            return
        name, again = f"tao {' '.join(self.command)}", "it goes on where it is run again"
        can_retry = True
        if outcome.timed_out:
            words = f"error: {name} was ended at its limit; {again}"
        elif outcome.stopped:
            words = f"error: {name} was stopped; {again}"
        elif outcome.signal_name:
            words = f"error: {name} was killed by {outcome.signal_name}; {again}"
        else:
            words, can_retry = told.error or unforeseen(name, outcome, told), outcome.code == TEMPORARY_FAILURE
        if words != told.error:
            self.log.error(words)
        raise (AirflowException if can_retry else AirflowFailException)(words)
