"""Runs a command of ``tao`` that belongs to no turn as a process of its own, whose output is the task's log."""

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from tao_airflow.stage_operator import STOP_SECONDS, TEMPORARY_FAILURE
from tao_ops.launch.process import Outcome, Process
from tao_ops.launch.stage import stage_environment, tao_command


class CommandOperator(BaseOperator):
    """``tao <command>``, for example ``("lake", "maintain")``; ``TAO_PYTHON`` names another interpreter for it."""

    def __init__(self, *, command: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.command = tuple(command)
        self._process: Process | None = None
        self._killed = False

    def execute(self, context: Any) -> None:
        """Run the command to its end."""
        self._process = Process(tao_command(*self.command), env=stage_environment())
        if self._killed:  # asked to end before there was anything to end
            self.on_kill()
        # A little less than Airflow's own limit, so that the log says what happened.
        limit = self.execution_timeout.total_seconds() * 0.98 if self.execution_timeout else None
        self._raise_unless_done(self._process.follow(self.log.info, limit_s=limit, grace_s=STOP_SECONDS))

    def on_kill(self) -> None:
        """End the command's whole process group."""
        self._killed = True
        if self._process is not None:
            self._process.stop(STOP_SECONDS)

    def _raise_unless_done(self, outcome: Outcome) -> None:
        name = f"tao {' '.join(self.command)}"
        if outcome.timed_out:
            raise AirflowException(f"{name} was ended at its limit; it goes on where it is run again")
        if outcome.stopped:
            raise AirflowException(f"{name} was stopped; it goes on where it is run again")
        if outcome.signal_name:
            raise AirflowException(f"{name} was killed by {outcome.signal_name}; it goes on where it is run again")
        if outcome.code:
            words = outcome.last("error:") or f"error: {name} ended with status {outcome.code}"
            raise (AirflowException if outcome.code == TEMPORARY_FAILURE else AirflowFailException)(words)
