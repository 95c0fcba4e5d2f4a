"""Grounding of numbers on TAT-QA: does it tell right answers from wrong ones, without seeing any right answer?

Each answer is made wrong in four ways, one number of it at a time: another scale, the other sign, a number that stands
nowhere in the document, and the number of a neighbouring cell, which does. The scorer's constants were chosen on the
first half of the documents; the result is the other half's.

The data are read from the folder that ``TAO_DATA`` names; the results hold figures, and none of the data.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from tao_ops.records import Candidate
from tao_ops.rewards.grounding import numbers
from tao_ops.settings import PROJECT
from trials.real_logs.data import DATA
from trials.record import Cells
from trials.table_rewards import judging
from trials.table_rewards.data import KINDS, Item, halves, verbatim

SEED = 1
GOAL = 0.90
RESAMPLES = 1000
_FILE = "tatqa/tatqa_dataset_dev.json"
_HALVES = ("tuned_on", "result")
_JUDGED = "neighbour_judged"

Pair = tuple[Item, str, float | None, float | None]
"""An item, its wrong answer, the support of its right answer, and that of the wrong one."""


def run() -> bool:
    """Measure both halves; true where the result reaches the goal for scale, sign and unsupported numbers."""
    path = DATA / _FILE
    if not path.is_file():
        print(f"table_rewards: skipped, there is no file {path}: name the folder with {_FILE} in TAO_DATA")
        return True
    cells = Cells("table_rewards")
    for name, items in zip(_HALVES, halves(path, SEED), strict=True):
        if not cells.known(SEED, name):
            cells.keep(SEED, measure(items), _outcome, name)
        print(f"{name}: {json.dumps({kind: cells.cells[name][kind]['all'] for kind in KINDS})}", flush=True)
    if not cells.known(SEED, _JUDGED):
        cells.keep(SEED, _judged(halves(path, SEED)[1]), _outcome, _JUDGED)
    print(f"{_JUDGED}: {json.dumps(cells.cells[_JUDGED]['auroc'])}", flush=True)
    print(f"table_rewards: {_outcome(cells.cells)}")
    _plot(cells.cells["result"], PROJECT / "docs" / "images" / "table-grounding.png")
    return all(cells.cells["result"][kind]["all"]["auroc"] >= GOAL for kind in KINDS[:3])


def measure(items: Sequence[Item]) -> dict[str, Any]:
    """Of each kind of wrong answer how well it is told from the right one: in all, and by type and source."""
    right = [score.value for score in numbers.score([Candidate("", item.query, item.right) for item in items])]
    told: dict[str, Any] = {"documents": len({item.document for item in items}), "questions": len(items)}
    told["right"] = _supports(items, right)
    for kind in KINDS:
        there = [i for i, item in enumerate(items) if kind in item.wrong]
        made = [Candidate("", items[i].query, items[i].wrong[kind]) for i in there]
        wrong = [score.value for score in numbers.score(made)]
        pairs = [(items[i], items[i].wrong[kind], right[i], value) for i, value in zip(there, wrong, strict=True)]
        told[kind] = {name: _compared(part) for name, part in _parts(pairs).items()}
    return told


def _judged(items: Sequence[Item]) -> dict[str, Any]:
    """AUROC of grounding, of a judge and of both together on answers with the number of a neighbouring cell."""
    told = judging.verdicts(items, SEED)
    grounded, said = np.array(told.pop("grounding")), np.array(told.pop("judge_says"))
    # Ranks, so that neither counts for more because its values spread more widely.
    both = sum(rankdata(values).reshape(values.shape) for values in (grounded, said))
    rng = np.random.default_rng(SEED)
    draws = rng.integers(len(grounded), size=(RESAMPLES, len(grounded)))
    found = {}
    for name, values in (("grounding", grounded), ("judge", said), ("both", both)):
        low, high = np.percentile([auroc(*values[drawn].T) for drawn in draws], [2.5, 97.5])
        found[name] = {"auroc": round(auroc(*values.T), 3), "low": round(float(low), 3), "high": round(float(high), 3)}
    return {**told, "auroc": found}


def _supports(items: Sequence[Item], values: Sequence[float | None]) -> dict[str, Any]:
    """How many right answers are decided, and their support, by type."""
    by: dict[str, Any] = {}
    for kind in sorted({item.answer_type for item in items}):
        part = [value for item, value in zip(items, values, strict=True) if item.answer_type == kind]
        decided = [value for value in part if value is not None]
        by[kind] = {
            "n": len(part),
            "undecided": len(part) - len(decided),
            "mean": round(float(np.mean(decided)), 3) if decided else None,
            "from_half": round(float(np.mean([value >= 0.5 for value in decided])), 3) if decided else None,
        }
    return by


def _parts(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    parts = {"all": list(pairs)}
    for pair in pairs:
        parts.setdefault(pair[0].answer_type, []).append(pair)
        parts.setdefault(f"from_{pair[0].answer_from}", []).append(pair)
    return {name: part for name, part in sorted(parts.items()) if len(part) >= 10}


def _compared(pairs: Sequence[Pair]) -> dict[str, Any]:
    decided = [
        (item.document, right, wrong) for item, _, right, wrong in pairs if right is not None and wrong is not None
    ]
    if not decided:
        return {"n": 0, "undecided": len(pairs)}
    names = sorted({document for document, _, _ in decided})
    by = [np.array([(r, w) for document, r, w in decided if document == name]) for name in names]
    rng = np.random.default_rng(SEED)
    drawn = [auroc(*np.concatenate([by[i] for i in rng.integers(len(by), size=len(by))]).T) for _ in range(RESAMPLES)]
    both = np.concatenate(by)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return {
        "n": len(decided),
        "undecided": len(pairs) - len(decided),
        "auroc": round(auroc(*both.T), 3),
        "low": round(float(low), 3),
        "high": round(float(high), 3),
        "right_wins": round(float(np.mean((both[:, 0] > both[:, 1]) + 0.5 * (both[:, 0] == both[:, 1]))), 3),
        "verbatim_auroc": round(
            auroc(
                [verbatim(item.right, item.query) for item, *_ in pairs],
                [verbatim(made, item.query) for item, made, *_ in pairs],
            ),
            3,
        ),
        "wrong_from_half": round(float(np.mean(both[:, 1] >= 0.5)), 3),
    }


def auroc(right: Sequence[float], wrong: Sequence[float]) -> float:
    """How often a right answer has more than a wrong one, any with any; a tie is half.

    >>> auroc([0.9, 0.5], [0.1, 0.5])
    0.875
    """
    ordered = np.sort(np.asarray(wrong))
    below = np.searchsorted(ordered, right, side="left") + np.searchsorted(ordered, right, side="right")
    return float(np.mean(below) / 2.0 / len(ordered))


def _outcome(cells: dict[str, dict[str, Any]]) -> str:
    if "result" not in cells:
        return "the half that it was tuned on is measured, the other is not"
    told = [
        f"{kind} {(one := cells['result'][kind]['all'])['auroc']:.3f} ({one['low']:.3f} to {one['high']:.3f},"
        f" n = {one['n']})"
        for kind in KINDS
    ]
    return f"AUROC on {cells['result']['documents']} documents that nothing was chosen on: {', '.join(told)}"


def _plot(cell: dict[str, Any], path: Path) -> None:
    """AUROC of each kind, in all and by the answer's type, with 95 % intervals."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.2, 3.6), layout="constrained")
    parts = {"all": "#1f6f43", "arithmetic": "#6b8fb5", "span": "#9aa5b1", "multi-span": "#c9b28a"}
    titles = {
        "scale": "wrong scale",
        "sign": "wrong sign",
        "unsupported": "made-up number",
        "neighbour": "neighbouring cell",
    }
    for place, (part, color) in enumerate(parts.items()):
        there = [(i, cell[kind][part]) for i, kind in enumerate(KINDS) if cell[kind].get(part, {}).get("n")]
        at = [i + (place - 1.5) * 0.17 for i, _ in there]
        middle = [one["auroc"] for _, one in there]
        spread = [[m - one["low"] for m, (_, one) in zip(middle, there, strict=True)],
                  [one["high"] - m for m, (_, one) in zip(middle, there, strict=True)]]  # fmt: skip
        size = 7 if part == "all" else 5
        axes.errorbar(
            at, middle, yerr=spread, fmt="o", markersize=size, capsize=3, color=color, label=f"{part} answers"
        )
    axes.axhline(0.5, color="#888888", linewidth=0.8, linestyle=":")
    axes.axhline(GOAL, color="#888888", linewidth=0.8, linestyle="--")
    axes.set_xticks(range(len(KINDS)), [titles[kind] for kind in KINDS])
    axes.set_ylabel(f"AUROC, {cell['documents']} documents")
    axes.set_ylim(0.4, 1.02)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower left", framealpha=1.0, edgecolor="none", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
