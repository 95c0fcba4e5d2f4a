"""Fitted probabilities are true on fresh data, never fall with a score, and survive few or odd labels."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from tao_ops.rewards.calibration import Calibrator, Case, fit, out_of_fold, report
from tao_ops.rewards.calibration.fitting import PRIOR
from tests.tao_ops.rewards.calibration.made import NAMES, labelled


def _fit(cases: Sequence[Case], *, isotonic: int = 200, names: Sequence[str] = NAMES, seed: int = 0) -> Calibrator:
    found = fit(cases, names=names, least=20, isotonic=isotonic, seed=seed)
    assert isinstance(found, Calibrator), found
    return found


def _error(found: Calibrator, fresh: Sequence[Case]) -> float:
    told = report(fresh, found.probabilities([case.scores for case in fresh]), names=NAMES, seed=0)
    assert told.ece is not None
    return told.ece.value


@pytest.mark.parametrize("isotonic", [200, 10_000])
def test_probabilities_of_many_labels_are_true_on_fresh_cases(isotonic: int) -> None:
    found = _fit(labelled(2000, 1), isotonic=isotonic)
    assert bool(found.knots) == (isotonic == 200)
    assert _error(found, labelled(4000, 2)) < 0.02


def test_thirty_anchors_do_for_a_start() -> None:
    fresh = labelled(2000, 99)
    errors = [_error(_fit(labelled(30, seed)), fresh) for seed in range(8)]
    assert np.mean(errors) < 0.1 and max(errors) < 0.25


def test_a_curve_bends_what_a_logistic_step_cannot() -> None:
    def stepped(n: int, seed: int) -> list[Case]:
        random = np.random.default_rng(seed)
        values = random.beta(6, 1, n)
        chances = np.where(values < 0.8, 0.15, np.where(values < 0.95, 0.55, 0.9))
        return [
            Case(f"{seed}-{i}", {"judge": float(v)}, float(random.random() < p), "anchor")
            for i, (v, p) in enumerate(zip(values, chances, strict=True))
        ]

    cases, fresh = stepped(1000, 1), stepped(4000, 2)
    straight, curved = (_error(_fit(cases, isotonic=n, names=("judge",)), fresh) for n in (10_000, 200))
    assert curved < 0.6 * straight


@pytest.mark.parametrize("n", [30, 300])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_higher_score_never_lowers_the_probability(n: int, seed: int) -> None:
    """Not even where the labels say so: here all three scorers are turned round, or noise."""
    random = np.random.default_rng(seed)
    cases = [
        Case(
            c.query_id, {k: random.random() if k == "json" else 1.0 - v for k, v in c.scores.items()}, c.label, "anchor"
        )
        for c in labelled(n, seed)
    ]
    for found in (_fit(cases), _fit(labelled(n, seed))):
        assert all(coefficient >= 0.0 for coefficient in found.coefficients)
        grid = [i / 8 for i in range(9)]
        for others in itertools.product(grid[::4], repeat=2):
            for name in NAMES:
                rest = dict(zip((other for other in NAMES if other != name), others, strict=True))
                column = found.probabilities([{**rest, name: value} for value in grid])
                assert column == sorted(column)
                assert column[0] <= found.probability(rest) <= column[-1], "undecided lies between 0 and 1"


def test_an_undecided_scorer_never_pays_more_than_its_best_score() -> None:
    """Whoever makes a scorer give up gains nothing, whatever the labels say."""
    random = np.random.default_rng(3)
    cases = []
    for i, case in enumerate(labelled(300, 3)):
        gone = random.random() < (0.5 if case.label else 0.05)
        cases.append(
            Case(
                f"q{i}", {k: v for k, v in case.scores.items() if not (gone and k == "grounding")}, case.label, "anchor"
            )
        )
    found = _fit(cases)
    fill = found.fills[found.names.index("grounding")]
    assert fill > 0.9
    assert found.probability({"json": 1.0, "consensus": 0.5}) <= found.probability(
        {"json": 1.0, "consensus": 0.5, "grounding": 1.0}
    )


def test_a_scorer_that_never_failed_an_anchor_still_counts() -> None:
    cases = [Case(c.query_id, {**c.scores, "json": 1.0}, c.label, "anchor") for c in labelled(60, 5)]
    found = _fit(cases)
    assert found.coefficients[0] == pytest.approx(PRIOR, abs=1e-3)
    good = {"json": 1.0, "grounding": 1.0, "consensus": 1.0}
    assert found.probability({**good, "json": 0.0}) < found.probability(good)


def test_a_scorer_that_no_label_decided_counts_once_it_decides() -> None:
    found = _fit(labelled(60, 1), names=("judge", *NAMES))
    assert found.names == ("judge", *NAMES)
    good = {"json": 1.0, "grounding": 1.0, "consensus": 0.5}
    assert found.probability({**good, "judge": 1.0}) > found.probability(good) > found.probability({**good, "judge": 0})


def test_where_no_scorer_decided_nothing_is_fitted() -> None:
    assert fit(
        [Case(f"q{i}", {}, i % 2, "anchor") for i in range(30)], names=NAMES, least=20, isotonic=200, seed=0
    ) == ("no scorer decided")


def test_it_says_why_not() -> None:
    cases = labelled(60, 1)
    same = [Case(c.query_id, c.scores, 1.0, "anchor") for c in cases]
    none = [Case(c.query_id, c.scores) for c in cases]
    reasons = [fit(given, names=NAMES, least=20, isotonic=200, seed=0) for given in (cases[:19], same, none, [])]
    assert reasons == ["too few labels", "all labels are the same", "too few labels", "too few labels"]


def test_labels_that_a_scorer_foretells_perfectly_stay_within_reason() -> None:
    cases = [Case(f"q{i}", {"json": float(i % 2)}, float(i % 2), "anchor") for i in range(30)]
    found = _fit(cases, names=("json",))
    low, high = found.probabilities([{"json": 0.0}, {"json": 1.0}])
    assert 0.0 < low < 0.2 and 0.8 < high < 1.0
    curved = _fit([Case(f"q{i}", {"json": float(i % 2)}, float(i % 2), "anchor") for i in range(300)], names=("json",))
    assert 0.0 < curved.probability({"json": 0.0}) < 0.05


@pytest.mark.parametrize("right", [1, 29])
def test_one_label_of_the_other_kind_is_enough(right: int) -> None:
    cases = [Case(f"q{i}", c.scores, float(i < right), "anchor") for i, c in enumerate(labelled(30, 4))]
    held = out_of_fold(cases, names=NAMES, isotonic=200, seed=0)
    assert all(p is not None and 0.0 < p < 1.0 for p in held)
    assert _fit(cases).n == 30


def test_all_cases_of_one_query_are_fitted_to_but_not_judged() -> None:
    cases = [Case("q", c.scores, c.label, "anchor") for c in labelled(30, 4)]
    assert _fit(cases).queries == 1
    assert out_of_fold(cases, names=NAMES, isotonic=200, seed=0) == [None] * 30


def test_feedback_weighs_half() -> None:
    """Thumbs that contradict as many anchors do not balance them."""
    scores = {"consensus": 0.5}
    anchors = [Case(f"a{i}", scores, 1.0, "anchor") for i in range(40)]
    thumbs = [Case(f"f{i}", scores, 0.0, "feedback") for i in range(40)]
    found = _fit([*anchors, *thumbs], names=("consensus",))
    assert found.probability(scores) == pytest.approx(2 / 3, abs=0.02)
    assert found.labels == {"anchor": 40, "feedback": 40} and found.source == "anchor 40, feedback 40"


def test_unlabelled_cases_do_not_count() -> None:
    cases = labelled(60, 1)
    assert _fit([*cases, *(Case("x", {"json": 0.0}) for _ in range(100))]) == _fit(cases)
    with pytest.raises(ValueError, match="without a label"):
        out_of_fold([Case("x", {"json": 0.0})], names=NAMES, isotonic=200, seed=0)


@pytest.mark.parametrize("n", [60, 300])
def test_the_same_seed_gives_the_same_version(n: int) -> None:
    cases = labelled(n, 1)
    assert _fit(cases).version == _fit(cases).version == _fit(cases[:]).version
    held = [out_of_fold(cases, names=NAMES, isotonic=200, seed=7) for _ in range(2)]
    assert held[0] == held[1]


def test_a_querys_cases_are_held_out_together() -> None:
    """The label of a query hides in a scorer's digits: only a fit that saw the query could know it."""
    random = np.random.default_rng(1)
    cases = []
    for q in range(60):
        label, mark = float(random.random() < 0.5), float(random.random())
        cases += [Case(f"q{q}", {"mark": mark}, label, "anchor")] * 8
    held = out_of_fold(cases, names=("mark",), isotonic=100, seed=0)
    told = report(cases, held, names=("mark",), seed=0)
    assert told.auroc is not None and told.auroc.low < 0.5
