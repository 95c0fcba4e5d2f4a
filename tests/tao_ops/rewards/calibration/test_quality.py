"""The report's figures are the known ones, with intervals, and it survives what has no figure."""

import json

import numpy as np
import pytest

from tao_ops.rewards.calibration import Case, report
from tests.tao_ops.rewards.calibration.made import NAMES, labelled


def _told(n: int, seed: int, *, sharper: float = 1.0) -> tuple[list[Case], list[float]]:
    """Cases whose probabilities are true, or overconfident where ``sharper`` is more than 1."""
    random = np.random.default_rng(seed)
    p = random.random(n)
    cases = [Case(f"q{i // 4}", {"s": float(v)}, float(random.random() < v), "anchor") for i, v in enumerate(p)]
    odds = sharper * np.log(p / (1 - p))
    return cases, (1 / (1 + np.exp(-odds))).tolist()


@pytest.mark.parametrize("n", [40, 1000])
def test_auroc_and_brier_equal_those_of_scikit_learn(n: int) -> None:
    from sklearn.metrics import brier_score_loss, roc_auc_score

    cases = labelled(n, 1)
    p = [case.scores["consensus"] for case in cases]  # with ties
    told = report(cases, p, names=NAMES, seed=0)
    y = [case.label for case in cases]
    assert told.auroc is not None and told.brier is not None
    assert told.auroc.value == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    assert told.brier.value == pytest.approx(brier_score_loss(y, p), abs=1e-12)
    for name in NAMES:
        alone = told.scorers[name]
        assert alone is not None
        assert alone.value == pytest.approx(roc_auc_score(y, [c.scores[name] for c in cases]), abs=1e-12)


def test_the_calibration_error_is_that_of_the_definition() -> None:
    cases = [Case(f"q{i}", {"s": 0.5}, float(i % 10 < 3), "anchor") for i in range(100)]
    told = report(cases, [0.5] * 100, names=["s"], seed=0)
    assert told.ece is not None and told.ece.value == pytest.approx(0.2)
    assert [(one.n, one.mean, one.right) for one in told.bins] == [(100, 0.5, pytest.approx(0.3))]


def test_true_probabilities_cannot_be_told_from_perfect_and_overconfident_ones_can() -> None:
    true, over = (report(*_told(2000, 1, sharper=by), names=["s"], seed=0) for by in (1.0, 3.0))
    assert true.ece is not None and over.ece is not None
    assert true.ece.value < 2 * true.ece_by_chance and over.ece.low > 3 * over.ece_by_chance
    assert len(true.bins) == 10 and {one.n for one in true.bins} == {200}


def test_intervals_hold_the_value_and_narrow_with_queries() -> None:
    few, many = (report(*_told(n, 3), names=["s"], seed=0) for n in (100, 1600))
    for told in (few, many):
        for one in (told.auroc, told.brier, told.scorers["s"]):
            assert one is not None and one.low < one.value < one.high
    assert many.auroc.high - many.auroc.low < 0.5 * (few.auroc.high - few.auroc.low)


def test_copies_of_a_query_narrow_no_interval() -> None:
    cases, p = _told(100, 4)
    once, often = report(cases, p, names=["s"], seed=0), report(cases * 10, p * 10, names=["s"], seed=0)
    assert often.auroc.high - often.auroc.low == pytest.approx(once.auroc.high - once.auroc.low, rel=0.05)


def test_what_is_not_defined_is_none() -> None:
    same = [Case(f"q{i}", c.scores, 1.0, "anchor") for i, c in enumerate(labelled(30, 1))]
    told = report(same, [0.7] * 30, names=(*NAMES, "judge"), seed=0)
    assert told.auroc is None and told.scorers == dict.fromkeys((*NAMES, "judge")) and told.base_rate == 1.0
    assert told.ece is not None and told.ece.value == pytest.approx(0.3)
    nothing = report([Case("q", {})], [None], names=NAMES, seed=0)
    assert nothing.n == 0 and nothing.ece is nothing.brier is nothing.ece_by_chance is None and nothing.bins == ()


def test_what_has_no_label_or_no_probability_is_in_no_figure() -> None:
    cases, p = _told(60, 1)
    more = [*cases, Case("x", {"s": 1.0}), Case("y", {}, 1.0, "feedback")]
    told, plain = report(more, [*p, 0.1, None], names=["s"], seed=0), report(cases, p, names=["s"], seed=0)
    assert told.undecided == 1 and told.ece == plain.ece and told.labels == {"anchor": 60}


def test_it_is_fit_for_json_and_the_same_each_time() -> None:
    texts = {json.dumps(report(*_told(60, 1), names=["s"], seed=0).as_dict(), allow_nan=False) for _ in range(2)}
    assert len(texts) == 1 and sum(json.loads(texts.pop())["histogram"]) == 60
