"""What a person sees of a run while it goes: a live table on a terminal, plain lines elsewhere."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

QUIET_SECONDS = 10.0
"""Between two plain lines of progress of one task."""
_COLOURS = {
    "success": "green",
    "failed": "red",
    "running": "cyan",
    "up_for_retry": "yellow",
    "upstream_failed": "red",
}


@dataclass(frozen=True)
class TaskLine:
    """A task as it is now.

    Attributes:
        seconds: since its start, or what it took; None before it started.
        said: the last line of its process.
    """

    name: str
    state: str
    seconds: float | None
    said: str = ""
    attempt: int = 1


class View:
    """Shows the tasks of a run; used as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None
        self._states: dict[str, tuple[str, int]] = {}
        self._said: dict[str, tuple[str, float]] = {}

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def update(self, tasks: Sequence[TaskLine]) -> None:
        """Show how the tasks are now."""
        if self._live:
            self._live.update(table(tasks))
            return
        for task in tasks:
            self._print_changes(task)

    def _print_changes(self, task: TaskLine) -> None:
        if self._states.get(task.name) != (task.state, task.attempt) and task.state not in (
            "",
            "scheduled",
            "queued",
        ):
            self._states[task.name] = (task.state, task.attempt)
            took = f" after {task.seconds:.0f} s" if task.seconds and task.state != "running" else ""
            attempt = f", attempt {task.attempt}" if task.attempt > 1 and task.state == "running" else ""
            self._print(f"{task.name}: {task.state.replace('_', ' ')}{took}{attempt}")
        before, at = self._said.get(task.name, ("", 0.0))
        if task.said and task.said != before and time.monotonic() - at >= QUIET_SECONDS:
            self._said[task.name] = (task.said, time.monotonic())
            self._print(f"  {task.name} | {task.said}")

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


def table(tasks: Sequence[TaskLine]) -> Table:
    """The tasks as a table, one row each."""
    rows = Table(box=None, pad_edge=False)
    rows.add_column("stage", no_wrap=True)
    rows.add_column("state", no_wrap=True)
    rows.add_column("seconds", justify="right", no_wrap=True)
    rows.add_column("", ratio=1, no_wrap=True, overflow="ellipsis")
    for task in tasks:
        state = task.state.replace("_", " ") or "–"
        if task.attempt > 1:
            state += f" (attempt {task.attempt})"
        seconds = "" if task.seconds is None else f"{task.seconds:.0f}"
        rows.add_row(task.name, Text(state, _COLOURS.get(task.state, "dim")), seconds, Text(task.said, "dim"))
    return rows
