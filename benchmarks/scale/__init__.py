"""``scale``: what one turn costs the lake and PostgreSQL after 10, 100 and 1,000 turns; 100 million queries at the end.

A history is made by the project's own ``Lake``, a commit for each write that a turn makes, and copied where it has 10
and 100 turns. Then each size is looked at in turn, in one process: each repeat has all sizes, so that whatever else the
machine does meets all of them, and the ratio is that of the same repeat. What is asked of one turn should be flat; what
is asked of all turns grows, and is beside it so that nobody takes one for the other.

What is synthetic: the rows; and a turn's file of queries is a hard link to one file of 100,000 rows, but for the newest
turns that are read, so 100 million rows take the room of a million. Log, plan and commit are those of as many files; a
read meets a file that the kernel has in its memory. All of the log is younger than its 30 days: nothing of it is gone.

``TAO_BENCH_TURNS`` (default ``10,100,1000``), ``TAO_BENCH_ROWS`` (queries of a turn, default 100000) and
``TAO_BENCH_REPEATS`` (default 7) say how much and how often. What it costs on GPUs is another question, answered on
paper: ``python -m benchmarks.scale.paper``.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median as middle

from benchmarks.report import Row, median, spread, write
from benchmarks.scale import history, looks, metadata
from tao_ops.database import start_embedded

GOAL = 1.5
"""A turn's own work may take so much longer after the longest history than after the shortest."""

Seconds = Mapping[str, Mapping[int, Sequence[float]]]
"""By figure and by turns of the history, one value for each repeat."""


def run() -> None:
    """Make the histories, look at them in turn, and write the result."""
    sizes = sorted({int(n) for n in (os.environ.get("TAO_BENCH_TURNS") or "10,100,1000").split(",")})
    rows = int(os.environ.get("TAO_BENCH_ROWS") or 100_000)
    repeats = int(os.environ.get("TAO_BENCH_REPEATS") or 7)
    # A short path: a Unix socket's may not be longer than 107 characters.
    with tempfile.TemporaryDirectory(prefix="tao-") as scratch:
        folder = Path(scratch)
        made = history.build(folder, sizes, rows)
        server = start_embedded(folder / "home")
        try:
            urls = {size: server.url(f"turns_{size}") for size in sizes}
            for size, url in urls.items():
                metadata.build(url, size)
            found = measure(made, urls, repeats)
        finally:
            server.stop()
    shape = f"{sizes[-1]:,} turns of {rows:,} queries: {sizes[-1] * rows:,} rows"
    write(
        "scale",
        list(figures(found, sizes)),
        repeats,
        turns=sizes,
        shape=shape,
        bytes_a_row={name: round(size, 1) for name, size in made.bytes_a_row.items()},
        log={str(size): told for size, told in made.log.items()},
        seconds={figure: {str(s): round(middle(by_size[s]), 5) for s in sizes} for figure, by_size in found.items()},
    )


def measure(made: history.Made, urls: Mapping[int, str], repeats: int) -> Seconds:
    """Every look at every size, in turn."""
    found: dict[str, dict[int, list[float]]] = {}
    every = {size: {**looks.of(lake, size), **metadata.of(urls[size], size)} for size, lake in made.lakes.items()}
    for repeat in range(-1, repeats):  # the first time is not counted: libraries start their threads
        for size in sorted(every, reverse=bool(repeat % 2)):
            for figure, look in every[size].items():
                seconds = look()
                if repeat >= 0:
                    found.setdefault(figure, {}).setdefault(size, []).append(seconds)
    return found


def figures(found: Seconds, sizes: Sequence[int]) -> list[Row]:
    """Each figure after the longest history, beside the same after the shortest."""
    rows = []
    for figure, by_size in found.items():
        first, last = by_size[sizes[0]], by_size[sizes[-1]]
        ratios = [after / before for before, after in zip(first, last, strict=True)]
        ratio, flat = median(ratios), figure not in looks.GROWS | metadata.GROWS
        rows.append(
            Row(
                figure if flat else f"{figure} (all turns)",
                "ms",
                round(middle(last) * 1000, 1),
                round(middle(first) * 1000, 1),
                f"after {sizes[0]} turns",
                ratio,
                f"ratio at most {GOAL}" if flat else None,
                ratio <= GOAL if flat else None,
                spread(ratios),
            )
        )
    return rows


__all__ = ["GOAL", "figures", "measure", "run"]
