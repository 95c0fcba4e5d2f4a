"""SQL without labels: whether a query runs, times agreement on its result, on Defog's questions; and with labels.

A cell of consensus is one seed: wrong queries made from right ones, eight responses to a pool, none, one, two or four
of them right, and how well the reward parts right from wrong. Another cell holds execution accuracy beside the
comparison of Defog's authors. The data are read from the folder that ``TAO_DATA`` names.
"""

import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from tao_ops.errors import ModelError
from tao_ops.rewards import sql_execution
from tao_ops.settings import PROJECT
from trials.record import Cells
from trials.sql_rewards import accuracy, pools
from trials.sql_rewards.picture import plot
from trials.sql_rewards.questions import DATA, LIMITS, Question, load
from trials.sql_rewards.sampling import sampled

SEEDS = (1, 2, 3)
BAR = 0.90
"""Least AUROC where four of eight are right."""
LEAST_WRONG = 2000
_POOLS = 4
"""Pools of a question, for each number of right ones."""
_ACCURACY = "accuracy"


def run() -> bool:
    """Measure the cells that this commit lacks; true where the bars are met, or where there are no data."""
    if not DATA.is_dir():
        print(f"sql_rewards: skipped, there is no folder {DATA}: name the one with defog in TAO_DATA")
        return True
    cells, questions = Cells("sql_rewards"), load()
    samples = _samples(questions)
    for seed in SEEDS:
        if not cells.known(seed, f"consensus-{seed}"):
            cells.keep(seed, _consensus(questions, samples, seed), _outcome, f"consensus-{seed}")
        print(f"seed {seed}: {json.dumps(_curve(cells.cells[f'consensus-{seed}']))}", flush=True)
    if not cells.known(SEEDS[0], _ACCURACY):
        cells.keep(SEEDS[0], accuracy.compare(questions, samples, SEEDS[0]), _outcome, _ACCURACY)
    print(f"sql_rewards: {_outcome(cells.cells)}")
    plot(_of_consensus(cells.cells), PROJECT / "docs" / "images" / "sql-consensus.png")
    return _held(cells.cells)


def _samples(questions: Sequence[Question]) -> dict[int, list[str]]:
    try:
        return sampled(questions)
    except ModelError as error:
        print(f"sql_rewards: without a model's own responses: {error}")
        return {}


def _consensus(questions: Sequence[Question], samples: dict[int, list[str]], seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    supplies = [pools.supply(question, rng) for question in questions]
    own = [
        pools.supply_of_model(one.question, samples[one.question.number], one.right)
        for one in supplies
        if one.question.number in samples
    ]
    by_number = {question.number: question for question in questions}
    told: dict[str, Any] = {}
    for right in pools.COMPOSITIONS:
        told[str(right)] = _composition(supplies, by_number, right, rng)
        if own:
            told[str(right)]["model"] = _composition(own, by_number, right, rng)
    wrong: Counter[str] = Counter()
    for one in supplies:
        wrong.update({kind: len(texts) for kind, texts in one.wrong.items()})
    return {
        "questions": len(questions),
        "wrong": {**wrong, "all": wrong.total()},
        "right_ones": told,
        "model": _model(by_number, samples),
    }


def _composition(
    supplies: Sequence[pools.Supply], questions: dict[int, Question], right: int, rng: random.Random
) -> dict[str, Any]:
    """What becomes of pools with so many right ones."""
    drawn = [pool for one in supplies for _ in range(_POOLS) if (pool := pools.draw(one, right, rng)) is not None]
    rewarded = pools.rewarded(drawn, questions)
    told: dict[str, Any] = dict(pools.picks(rewarded))
    if right:
        told["auroc"] = pools.auroc(rewarded, np.random.default_rng(rng.randrange(2**32)))
    return told


def _model(questions: dict[int, Question], samples: dict[int, list[str]]) -> dict[str, Any]:
    """What the model's own responses are worth, by the accepted queries."""
    reasons: Counter[str] = Counter()
    for number, texts in samples.items():
        question = questions[number]
        batch = [question.candidate(text, reference=question.reference) for text in texts]
        for one in sql_execution.score(batch, sql=LIMITS, folder=DATA):
            reasons["right" if one.value == 1.0 else one.reason] += 1
    return dict(reasons.most_common())


def _curve(cell: dict[str, Any]) -> dict[str, float]:
    return {right: one["auroc"]["all"]["auroc"] for right, one in cell["right_ones"].items() if "auroc" in one}


def _of_consensus(cells: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [cell for key, cell in sorted(cells.items()) if key != _ACCURACY]


def _held(cells: dict[str, dict[str, Any]]) -> bool:
    consensus, labelled = _of_consensus(cells), cells[_ACCURACY]
    return (
        all(_curve(cell)["4"] >= BAR and cell["wrong"]["all"] >= LEAST_WRONG for cell in consensus)
        and accuracy.UNEXPLAINED not in labelled["disagreements"]
        and accuracy.UNEXPLAINED not in labelled["disagreements_by_their_conventions"]
    )


def _outcome(cells: dict[str, dict[str, Any]]) -> str:
    consensus = _of_consensus(cells)
    curves = [_curve(cell) for cell in consensus]
    told = ", ".join(
        f"{right} of 8: {min(curve[right] for curve in curves):.3f} to {max(curve[right] for curve in curves):.3f}"
        for right in curves[0]
    )
    said = f"AUROC over {len(curves)} seeds, right ones {told}"
    if _ACCURACY in cells:
        one = cells[_ACCURACY]
        unexplained = one["disagreements"].get(accuracy.UNEXPLAINED, 0)
        said += (
            f"; execution accuracy as the authors' in {one['agreement']:.1%} of {one['cases']} cases, "
            f"by their conventions in {one['agreement_by_their_conventions']:.1%}, {unexplained} unexplained"
        )
    return said
