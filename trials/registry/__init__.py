"""Fifty turns end at once against one registry on PostgreSQL, a process each, and many are killed by SIGKILL.

A cell is one seed. All turns were judged against the base model; each process runs its ``gate`` and ``register``, and
so decides again where another was quicker. Most kills fall before or after a statement to the database, drawn from
all that a turn's end sends, so that none of its steps is spared; the others fall at a random moment. A killed turn is
run again, under the same run id, until it ends. Afterwards there has to be one champion, MLflow's aliases on it and on
the one before it, one unbroken chain of promotions, and a version for every turn, none twice.
"""

import tempfile
from pathlib import Path
from typing import Any

from tao_ops.database import start_embedded
from trials.record import Cells
from trials.registry.crowd import crowd

SEEDS = (1,)
TURNS = 50


def run() -> bool:
    """Measure the cells that this commit lacks; true where every one left one champion and a whole history."""
    cells = Cells("registry")
    if missing := [seed for seed in SEEDS if not cells.known(seed)]:
        # A short path: a Unix socket's may not be longer than 107 characters.
        with tempfile.TemporaryDirectory(prefix="tao-") as scratch:
            server = start_embedded(Path(scratch) / "server")
            try:
                for seed in missing:
                    home = Path(scratch) / f"seed-{seed}"
                    cell = crowd(home, server.url(f"seed_{seed}"), f"tickets_{seed}", turns=TURNS, seed=seed)
                    cells.keep(seed, cell, _outcome)
                    print(f"seed {seed}: {_outcome({str(seed): cell})}", flush=True)
            finally:
                server.stop()
    print(f"registry: {_outcome(cells.cells)}")
    return all(cell["held"] for cell in cells.cells.values())


def _outcome(cells: dict[str, dict[str, Any]]) -> str:
    total = {name: sum(cell[name] for cell in cells.values()) for name in ("turns", "killed", "again", "promotions")}
    held = sum(cell["held"] for cell in cells.values())
    return (
        f"{total['turns']} turns in {len(cells)} crowds, {total['killed']} processes killed; {total['promotions']} "
        f"promotions, {total['again']} turns decided again; {held} of {len(cells)} left one champion, its aliases on "
        f"the record, an unbroken history, and one version of each turn"
    )
