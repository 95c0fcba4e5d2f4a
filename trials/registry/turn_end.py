"""The end of one turn in a process of its own: ``gate`` and ``register``, killed at a statement where it is told to."""

import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg

from tao_ops.errors import TaoError
from tao_ops.stages import Run, gate, register

_POLL = "pg_try_advisory_lock"
"""Statements while one waits, of which there may be any number."""


@dataclass(frozen=True)
class Kill:
    """When a process dies.

    Attributes:
        statement: the number of a statement to the database, ``after`` it or before.
        seconds: since the process began; the one who started it kills.
    """

    statement: int | None = None
    after: bool = False
    seconds: float | None = None


def end(run: Run, kill: Kill | None, told: Path) -> None:
    """Run the two stages; write the log, and last how many statements that took, into the file ``told``."""
    sent = _count_statements(kill)
    with told.open("a", encoding="utf-8") as log:

        def say(line: str) -> None:
            print(line, file=log, flush=True)

        try:
            for stage in (gate, register):
                stage.run(replace(run, say=say))
        except TaoError as error:
            say(f"error: {error}")
            sys.exit(1)
        say(f"statements: {sent[0]}")


def _count_statements(kill: Kill | None) -> list[int]:
    """Count, from now on, what this process sends to any database, and die where it is told to."""
    sent, execute = [0], psycopg.Cursor.execute

    def counted(self: Any, query: Any, *arguments: Any, **how: Any) -> Any:
        if _POLL in str(query):
            return execute(self, query, *arguments, **how)
        sent[0] += 1
        if kill is not None and sent[0] == kill.statement and not kill.after:
            os.kill(os.getpid(), signal.SIGKILL)
        done = execute(self, query, *arguments, **how)
        if kill is not None and sent[0] == kill.statement:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    psycopg.Cursor.execute = counted  # type: ignore[method-assign]
    return sent
