"""A benchmark's rows, as a table and as a file."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tao_ops.files import write_json

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One figure, ours beside a peer's; medians over the repeats. ``ratio`` is ours over the peer's."""

    figure: str
    unit: str
    ours: float
    peer: float | None
    peer_name: str
    ratio: float | None
    goal: str | None = None
    met: bool | None = None
    spread: str | None = None
    """Smallest and largest ratio of the repeats."""


def median(values: Sequence[float]) -> float:
    """The median, to three places."""
    return round(statistics.median(values), 3)


def spread(values: Sequence[float]) -> str:
    """The smallest and the largest value."""
    return f"{min(values):.2f} to {max(values):.2f}"


def write(name: str, rows: Sequence[Row], repeats: int, **more: Any) -> None:
    """Print the table and write ``results/<name>.json``, with ``more`` beside the rows."""
    machine = f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, {platform.system()}, {repeats} repeat(s)"
    peers = ", ".join(dict.fromkeys(row.peer_name for row in rows))
    table = Table(
        "figure", "unit", "ours", "peer", "ratio", "spread", "goal", "met", title=f"{name}: {machine}; peer: {peers}"
    )
    for row in rows:
        shown = (row.figure, row.unit, row.ours, row.peer, row.ratio, row.spread, row.goal, row.met)
        table.add_row(*("" if value is None else str(value) for value in shown))
    Console().print(table)
    RESULTS.mkdir(exist_ok=True)
    told = {"name": name, "machine": machine, "rows": [asdict(row) for row in rows], **more}
    write_json(RESULTS / f"{name}.json", told)
