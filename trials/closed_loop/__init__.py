"""The loop, closed and left alone: users ask the server, Airflow turns the wheel on what they asked, they get better.

A real Airflow with its scheduler, PostgreSQL, ``tao serve`` with the embedded model, and clients of the ``openai``
package that send the example's traffic to it. A day is a few minutes long here: the flywheel's schedule says so, and
nothing else is told of it. Nobody starts a turn, nobody moves a champion, nobody restarts the server: the scheduler
begins each turn when its day is over, the gate decides, the server follows the champion's record, and what users ask
meanwhile is captured and is the next turn's data.

Each answer is compared with what its message was filled from, which only this trial knows; no part of the flywheel sees
it. A cell is one seed.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from tao_ops.settings import PROJECT
from trials.closed_loop.days import Loop
from trials.closed_loop.picture import draw
from trials.record import Cells

SEEDS = (1,)
DAY_MINUTES = int(os.environ.get("DAY_MINUTES") or 12)
"""About as long as a turn takes."""
QUERIES = 120
"""A day."""
DAYS = 3
"""Whose traffic is trained on; the two after them are answered meanwhile, and after the last turn."""


def run() -> bool:
    """Measure the cells that this commit lacks; true where users were answered better in the end, and nothing lost."""
    cells = Cells("closed_loop")
    for seed in SEEDS:
        if not cells.known(seed):
            # A short path: a Unix socket's may not be longer than 107 characters.
            with tempfile.TemporaryDirectory(prefix="tao-", ignore_cleanup_errors=True) as home:
                told = Loop(Path(home), seed=seed, minutes=DAY_MINUTES, queries=QUERIES, days=DAYS).run()
            cells.keep(seed, told, _outcome)
    if not cells.cells:
        return False
    draw(cells.cells, PROJECT / "docs" / "images" / "closed_loop.png")
    print(f"closed_loop: {_outcome(cells.cells)}")
    return all(_held(cell) for cell in cells.cells.values())


def _held(cell: dict[str, Any]) -> bool:
    lost = cell["answered"] - cell["captured"]
    return cell["failed"] == 0 and cell["mixed"] == 0 and lost == 0 and cell["right"][-1] > cell["right"][0]


def _outcome(cells: dict[str, dict[str, Any]]) -> str:
    return "; ".join(
        f"seed {cell['seed']}: exact match of users' answers by day "
        + ", ".join(f"{share:.1%}" for share in cell["right"])
        + f" ({cell['answered']} answers of versions {json.dumps(cell['versions'])}; {cell['failed']} failed, "
        f"{cell['captured']} captured; {cell['turns']} turns, {cell['promotions']} promotions)"
        for cell in cells.values()
    )
