"""``page``: seconds of each view of the Flywheel page, with 1,000 turns and 100,000 candidates of one behind it.

Ours are the functions of ``tao_ops.views``, which the page's server calls; a page's HTML and its way to the browser
come on top. The peer is DuckDB over the same files: the same rows chosen, joined and sorted by SQL, without the Delta
log, so without knowing which files count, and without the registry. Each repeat is a fresh process of either side, in
turn: a view's first look there is cold (imports apart, which are a figure of their own), the further ones are warm.

The lake is made once, by a seed, at ``TAO_BENCH_LAKE`` (default: ``bench-page`` in ``TAO_CACHE``; half a gigabyte).
``TAO_BENCH_REPEATS`` (default 5) says how often.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.page import data
from benchmarks.report import Row, write
from tao_ops.database import start_embedded
from tao_ops.settings import PROJECT, Settings

GOAL_S = 1.0
WARM = 5
"""Further looks in each process."""
IMPORTS = "imports, once a server"
PEER = "DuckDB over the files"

Looks = Mapping[str, Sequence[float]]
"""Seconds of a process's looks, by view; the first of each is cold."""


def run() -> None:
    """Measure both sides, in turn, and write the result."""
    repeats = int(os.environ.get("TAO_BENCH_REPEATS") or 5)
    cache = Settings.from_env().cache
    lake = data.build(Path(os.environ.get("TAO_BENCH_LAKE") or cache / "bench-page"))
    ours: list[Looks] = []
    peer: list[Looks] = []
    # A short path: a Unix socket's may not be longer than 107 characters.
    with tempfile.TemporaryDirectory(prefix="tao-") as home:
        server = start_embedded(Path(home))
        try:
            url = server.url("tao")
            data.register(url)
            for _ in range(repeats):
                ours.append(_look("ours", lake.root, url))
                peer.append(_look("peer", lake.root, url))
        finally:
            server.stop()
    shape = f"{data.TURNS_IN_ALL:,} turns, {data.CANDIDATES:,} candidates in the newest"
    write("page", _rows(ours, peer), repeats, warm=WARM, lake=shape)


def _look(side: str, lake: str, url: str) -> Looks:
    command = [sys.executable, "-m", "benchmarks.page.look", side, lake, url, str(WARM)]
    told = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True, timeout=600).stdout
    found: Looks = json.loads(told.splitlines()[-1])
    return found


def _rows(ours: Sequence[Looks], peer: Sequence[Looks]) -> list[Row]:
    rows = []
    for view in ours[0]:
        if view == IMPORTS:
            rows += _figures(view, [looks[view][0] for looks in ours], [looks[view][0] for looks in peer], None)
            continue
        for name, part in (("cold", slice(0, 1)), ("warm", slice(1, None))):
            mine, other = ([s for looks in side for s in looks.get(view, ())[part]] for side in (ours, peer))
            rows += _figures(f"{view}, {name}", mine, other, GOAL_S)
    return rows


def _figures(figure: str, mine: Sequence[float], other: Sequence[float], goal: float | None) -> list[Row]:
    """The middle and the slow end; the latter is held against the goal."""
    rows = []
    for share in (50, 95):
        value, beside = percentile(mine, share), percentile(other, share) if other else None
        limit = goal if share == 95 else None
        rows.append(
            Row(
                f"{figure}, p{share}",
                "s",
                value,
                beside,
                PEER,
                round(value / beside, 2) if beside else None,
                None if limit is None else f"at most {limit:g}",
                None if limit is None else value <= limit,
            )
        )
    return rows


def percentile(values: Sequence[float], share: int) -> float:
    """The smallest value that so many percent of all do not exceed, to three places."""
    ordered = sorted(values)
    return round(ordered[max(0, -(-share * len(ordered) // 100) - 1)], 3)
