"""Figures as the document writes them, and what several cells say together."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from tao_ops.benchmarks import paired

MISSING = "**missing**"
Measured = Mapping[str, Any]


def points(share: float) -> str:
    """A share in per cent, with one digit."""
    return f"{100 * share:.1f}"


def arm(cell: Measured | None, name: str = "candidate") -> str:
    """An arm's score with its 95 % interval; what the update said where it refused; or that it is missing."""
    if cell is None:
        return MISSING
    if "refused" in cell:
        return "update refused"
    line = cell["benchmark"]
    if line[name] is None:
        return "–"
    return f"{points(line[name])} [{points(line[f'{name}_low'])}, {points(line[f'{name}_high'])}]"


def score(cell: Measured | None, name: str = "candidate") -> float | None:
    """An arm's score, None where there is none."""
    if cell is None or "benchmark" not in cell:
        return None
    value: float | None = cell["benchmark"][name]
    return value


def mean(values: Sequence[float | None]) -> float | None:
    """The mean; None where one is missing, or there are none."""
    known = [value for value in values if value is not None]
    return statistics.mean(known) if known and len(known) == len(values) else None


def mean_points(cells: Sequence[Measured | None], name: str = "candidate") -> str:
    """The mean of a share of the benchmark's line, in per cent, with the lowest and the highest.

    Missing where a cell is; a dash where an update refused, or no cell has such an arm.
    """
    if any(cell is None for cell in cells):
        return MISSING
    values = [score(cell, name) for cell in cells]
    found, known = mean(values), [value for value in values if value is not None]
    return "–" if found is None else f"{points(found)} ({points(min(known))}–{points(max(known))})"


def mean_of(cells: Sequence[Measured | None], *path: str, digits: int = 0) -> str:
    """The mean of a number that stands in each cell at ``path``; a dash where it is in none."""
    values = [value for cell in cells if cell is not None and (value := at(cell, *path)) is not None]
    return f"{statistics.mean(values):,.{digits}f}" if values else "–"


def at(cell: Measured, *path: str) -> Any:
    """What stands at ``path``, or None."""
    place: Any = cell
    for name in path:
        place = place.get(name) if isinstance(place, Mapping) else None
    return place


def difference(before: str, after: str, seed: int) -> str:
    """The paired difference in points of two arms' answers to the same items, with its 95 % interval."""
    scores = [[float(mark) for mark in marks] for marks in (before, after)]
    found = paired.compare(*scores, seed=seed)
    return f"{100 * found.delta:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def gain(cell: Measured | None) -> str:
    """Candidate minus champion in points, with its 95 % interval."""
    if cell is None or "benchmark" not in cell:
        return "–"
    line = cell["benchmark"]
    return f"{100 * line['delta']:+.1f} [{100 * line['ci_low']:+.1f}, {100 * line['ci_high']:+.1f}]"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table of Markdown."""
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]
