"""``training.jsonl``: the figures of a training, a line for each step and each measurement on the holdout.

A line is ``{"method": "raft", "step": 3, "time": "2026-11-21T02:00:00.000Z", "loss": 0.5, …}``, with ``step`` counted
by method; a figure that is no number is null.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from tao_ops.errors import DataError
from tao_ops.files import replaced
from tao_ops.mlflow_points import Point

NAME = "training.jsonl"
HOLDOUT = "holdout_"
"""How the figures that are measured on the holdout begin."""


@dataclass(frozen=True)
class Line:
    """Figures of one step, or of the holdout after it.

    Attributes:
        at: milliseconds since 1970.
    """

    method: str
    step: int
    at: int
    figures: Mapping[str, float | None]

    @property
    def on_holdout(self) -> bool:
        """Whether it was measured on the holdout."""
        return any(name.startswith(HOLDOUT) for name in self.figures)

    @property
    def key(self) -> tuple[str, int, bool]:
        """What there is one line of."""
        return self.method, self.step, self.on_holdout

    def as_json(self) -> str:
        """The line, with its end."""
        time = datetime.fromtimestamp(self.at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return json.dumps({"method": self.method, "step": self.step, "time": time, **self.figures}) + "\n"


def line(method: str, step: int, figures: Mapping[str, float]) -> Line:
    """A line of now."""
    now = round(datetime.now(UTC).timestamp() * 1000)
    return Line(method, step, now, {k: float(v) if math.isfinite(v) else None for k, v in figures.items()})


def read(folder: Path) -> list[Line]:
    """The lines of ``training.jsonl`` in ``folder``; none where there is no such file.

    Raises:
        DataError: a line is none of ours.
    """
    path = folder / NAME
    if not path.is_file():
        return []
    # What a killed process had begun to write is no line.
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
    return [_parsed(text, f"{path}:{number}") for number, text in enumerate(whole.split("\n"), 1) if text]


def begin(folder: Path, kept: Sequence[Line]) -> IO[str]:
    """``training.jsonl`` with the lines ``kept`` and no others, open for more."""
    with replaced(folder / NAME) as fresh:
        fresh.write_text("".join(one.as_json() for one in kept), encoding="utf-8")
    return (folder / NAME).open("a", encoding="utf-8")


class Axis:
    """Steps of several methods, one after the other, on one axis."""

    def __init__(self) -> None:
        self._last = 0
        self.starts: dict[str, int] = {}

    def __call__(self, one: Line) -> int:
        """The step that a line stands at; lines come in order.

        >>> axis = Axis()
        >>> [axis(Line(method, step, 0, {})) for method, step in [("raft", 0), ("raft", 8), ("grpo", 0), ("grpo", 1)]]
        [0, 8, 8, 9]
        """
        start = self.starts.setdefault(one.method, self._last)
        self._last = max(self._last, start + one.step)
        return start + one.step


def points(lines: Sequence[Line], axis: Axis | None = None) -> list[Point]:
    """The curves as MLflow shows them: ``<method>/<figure>``, and ``holdout/<figure>`` over all methods.

    >>> points([Line("raft", 1, 0, {"loss": 0.5}), Line("raft", 1, 5, {"holdout_kl": 0.1, "holdout_reward": None})])
    [Point(name='raft/loss', step=1, value=0.5, at=0), Point(name='holdout/kl', step=1, value=0.1, at=5)]
    """
    axis = axis or Axis()
    found: list[Point] = []
    for one in lines:
        step = axis(one)
        for name, value in one.figures.items():
            if value is not None:
                held = name.startswith(HOLDOUT)
                full = f"holdout/{name.removeprefix(HOLDOUT)}" if held else f"{one.method}/{name}"
                found.append(Point(full, step, value, one.at))
    return found


def _parsed(text: str, where: str) -> Line:
    try:
        told = json.loads(text)
        method, step, time = told.pop("method"), told.pop("step"), told.pop("time")
        return Line(method, step, round(datetime.fromisoformat(time).timestamp() * 1000), told)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DataError("no figures of a training", where=where, mend="remove the file and run update again") from None
