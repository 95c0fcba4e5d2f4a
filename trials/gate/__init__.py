"""The gate's rule by simulation: how often chance is promoted, and how often a better candidate is.

A cell is one part: one night without a true difference, power, a month of each kind, slices, the intervals, and whether
the simulations' arithmetic is the gate's own. A cell is measured again when the code that shapes it has changed. The
tables go into ``docs/gate.md``, between its two marks, and the picture beside it.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tao_ops.settings import PROJECT
from trials.gate import checks, document, months, single, slices
from trials.gate.picture import plot
from trials.record import Cells

SEED = 1
_HERE = Path(__file__).parent
_SHAPES = (
    *(_HERE / f"{name}.py" for name in ("checks", "draws", "months", "single", "slices")),
    *(PROJECT / "tao_ops" / "benchmarks" / f"{name}.py" for name in ("decide", "findings", "paired", "spending")),
)
LEAST_COVERAGE, LEAST_ITEMS = 0.92, 100
"""The 95 % interval must hold the truth this often, from so many items on."""

PARTS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "no difference": lambda: {"trials": 100_000, "rows": single.no_difference(100_000, SEED)},
    "power": lambda: {"trials": 20_000, "rows": single.power(20_000, SEED)},
    **{
        f"month: {name}": lambda scenario=scenario, many=20_000 if name == "none" else 4_000: {
            "rows": months.simulate(scenario, many, SEED)
        }
        for name, scenario in months.SCENARIOS.items()
    },
    "slices": lambda: {"trials": 20_000, "rows": [slices.simulate(case, 20_000, SEED) for case in slices.CASES]},
    "coverage": lambda: {"trials": 1_000, "rows": checks.coverage(1_000, SEED)},
    "agreement": lambda: checks.agreement(300, SEED),
}


def run() -> bool:
    """Measure the cells that this code lacks; true where the rule keeps what it promises."""
    cells, definition = Cells("gate"), _definition()
    for name, measure in PARTS.items():
        if not cells.known(SEED, name, definition):
            cells.keep(SEED, {"definition": definition, **measure()}, _outcome, name)
            print(f"gate: {name}: measured", flush=True)
    print(f"gate: {_outcome(cells.cells)}")
    plot(cells.cells, PROJECT / "docs" / "images" / "gate_simulations.png")
    document.write(cells.cells)
    return _held(cells.cells)


def _definition() -> str:
    sha = hashlib.sha256()
    for path in _SHAPES:
        sha.update(path.read_bytes())
    return sha.hexdigest()[:16]


def _held(cells: dict[str, dict[str, Any]]) -> bool:
    """One night and one month promote chance at most at ``alpha``, and a slice is not seen to fall more often."""
    month = cells["month: none"]["rows"][months.CHOSEN]["false_months"]
    nights = [row["promoted"] for row in cells["no difference"]["rows"]]
    alarms = [row["rejected"] for row in cells["slices"]["rows"] if row["after"] >= row["before"]]
    large = [row["coverage"] for row in cells["coverage"]["rows"] if row["n"] >= LEAST_ITEMS]
    agreed = cells["agreement"]["agree"] == cells["agreement"]["cases"]
    return agreed and max(month, *nights, *alarms) <= single.ALPHA and min(large) >= LEAST_COVERAGE


def _outcome(cells: dict[str, dict[str, Any]]) -> str:
    said = []
    if cell := cells.get("month: none"):
        chosen, none = (cell["rows"][name]["false_months"] for name in (months.CHOSEN, months.NONE))
        said.append(f"of months without a better candidate {chosen:.1%} promote one, {none:.1%} without a budget")
    if cell := cells.get("power"):
        row = next(row for row in cell["rows"] if (row["differ"], row["gain"]) == (0.2, 0.05))
        said.append(
            f"a first candidate that is 5 points better is promoted at {row['n']} items in {row['promoted']['1']:.0%}, "
            f"and at {row['items']:,} in {single.POWER:.0%}"
        )
    if cell := cells.get("slices"):
        row = cell["rows"][0]
        said.append(
            f"a slice of {row['items']} that falls from {row['before']:.0%} to {row['after']:.0%} is caught in "
            f"{row['planted_slice']:.0%}, by the mean in {row['by_the_mean']:.1%}"
        )
    if cell := cells.get("agreement"):
        said.append(f"the simulations judge {cell['agree']} of {cell['cases']} candidates as the gate does")
    return "; ".join(said)
