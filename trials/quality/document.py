"""``docs/results.md``, written from the kept cells; what was not measured is told as missing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tao_ops.files import replaced
from tao_ops.settings import PROJECT
from trials.quality import tables
from trials.quality.cell import Known, key
from trials.quality.claims import claims
from trials.quality.figures import mean_points, table
from trials.quality.second_task import page
from trials.quality.settings import SEEDS, TURNS
from trials.record import RESULTS

DOCUMENT = PROJECT / "docs" / "results.md"
GPU = RESULTS / "gpu.json"
_HEAD = """# Results

Made by `make results`; this page is written from the cells in `trials/results/quality_*.json` and by nothing else.
Each cell has its seed and commit there, and is measured once: `make results ONLY=<part>` runs one part (`turns`,
`controls`, `methods`, `ablations`, `second_task`; `ONLY=table` only writes this page), `SEEDS=1` some seeds, `FRESH=1`
measures again what is known. A cell that was not measured is told as **missing**.

How to read it:

- The score is exact match, in per cent, on the example's 300 held-out items, by greedy decoding under the production
  prompt. Traffic and benchmark share no template and no value.
- `[a, b]` behind a score is Wilson's 95 % interval over the items; behind a difference it is the 95 % interval of the
  paired difference on the same items. `(a–b)` behind a mean are the lowest and the highest seed.
- Seconds are wall time on two shared CPU cores, with the start of each stage's process.
- All cells of a seed's turn one start from the same stored responses.
"""


def write(known: Mapping[str, Known], path: Path = DOCUMENT, gpu: Path = GPU) -> None:
    """Write the page.

    Args:
        known: the measured cells of each part.
        gpu: figures of a GPU, ``[{"card": …, "what": …, "value": …}]``, where there are some.
    """
    parts = [
        _HEAD.rstrip().split("\n"),
        _claims(known),
        tables.of_turns(known["turns"]),
        tables.of_controls(known["turns"], known["controls"]),
        tables.of_methods(known["methods"]),
        page.told(known["second_task"], known["turns"]),
        tables.of_ablations(known["turns"], known["ablations"]),
        _gpu(gpu),
    ]
    text = "\n\n".join("\n".join(lines) for lines in parts) + "\n"
    with replaced(path) as fresh:
        fresh.write_text(text, encoding="utf-8")


def _claims(known: Mapping[str, Known]) -> list[str]:
    rows = [[one.text, one.verdict, one.found] for one in claims(known)]
    return ["## What it must show", "", *table(["claim", "", "measured"], rows)]


def _gpu(path: Path) -> list[str]:
    lines = ["## On a GPU", ""]
    if not path.is_file():
        return [*lines, "Not run."]
    told: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return [
        *lines,
        *table(["card", "what", "value"], [[str(row[k]) for k in ("card", "what", "value")] for row in told]),
    ]


def summary(turns: Known) -> str:
    """One line on the three turns."""
    told = [mean_points([turns.get(key(seed, str(turn))) for seed in SEEDS]) for turn in TURNS]
    return "exact match by turn, mean of seeds: " + ", ".join(told)
