"""The rule-based verifiers against the published checkers: ``numeric`` on GSM8K, ``instructions`` on IFEval.

No model is asked: responses are made from the data, to be right or wrong, to follow an instruction or not, at the
boundary where there is one. Two of IFEval's checkers need nltk's ``punkt_tab`` in a folder that ``NLTK_DATA`` names;
the wheel of ``llama-index-core`` carries one (``llama_index/core/_static/nltk_cache``).

The data are read from the folder that ``TAO_DATA`` names; the results hold counts.
"""

import os
from pathlib import Path
from typing import Any

from tao_ops.settings import PROJECT
from trials.checkers import gsm8k, ifeval
from trials.record import Cells

SEED = 1
_FOLDER = Path(os.environ.get("TAO_DATA", PROJECT.parent / "shared" / "data"))


def run() -> bool:
    """Measure the cells that this commit lacks; true where all is right, or explained, or there are no data."""
    if missing := [name for name in ("gsm8k", "ifeval", "banking77", "tatqa") if not (_FOLDER / name).is_dir()]:
        print(f"checkers: skipped, there is no {missing[0]} in {_FOLDER}: name the folder with the data in TAO_DATA")
        return True
    cells = Cells("checkers")
    if not cells.known(SEED, "gsm8k"):
        cells.keep(SEED, gsm8k.measure(_FOLDER / "gsm8k", SEED), _outcome, "gsm8k")
    skipped = ifeval.skipped()
    if skipped:
        print(f"checkers: without {', '.join(skipped)}: name a folder with nltk's punkt_tab in NLTK_DATA")
    if not cells.known(SEED, "ifeval") or cells.cells["ifeval"]["skipped"] != list(skipped):
        cells.keep(SEED, ifeval.measure(_FOLDER, SEED, skipped=skipped), _outcome, "ifeval")
    print(f"checkers: {_outcome(cells.cells)}")
    return not any(_wrong(cell) for cell in cells.cells.values())


def _wrong(cell: dict[str, Any]) -> int:
    return int(cell.get("numeric_wrong", 0)) + int(cell.get("unexplained", 0))


def _outcome(cells: dict[str, dict[str, Any]]) -> str:
    said = []
    if cell := cells.get("gsm8k"):
        said.append(f"numeric wrong on {cell['numeric_wrong']:,} of {cell['responses']:,} responses to GSM8K")
    if cell := cells.get("ifeval"):
        agree = sum(row["agree"] for row in cell["ids"].values())
        undecided = sum(row["undecided"] for row in cell["ids"].values())
        others = cell["verdicts"] - agree - undecided
        said.append(
            f"instructions as IFEval's checkers on {agree:,} of {cell['verdicts']:,} verdicts, "
            f"undecided on {undecided:,}, otherwise on {others:,}; {cell['unexplained']:,} without a known reason"
        )
    return "; ".join(said)
