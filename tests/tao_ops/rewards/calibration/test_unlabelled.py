"""Without labels, three scorers that agree tell how good each is; fewer, or none that agree, say so."""

import numpy as np
import pytest

from tao_ops.rewards.calibration import Agreement, Calibrator, Case, agreement, raters, report
from tests.tao_ops.rewards.calibration.made import rated, unlabelled

TRUE = [(0.9, 0.8), (0.8, 0.9), (0.75, 0.7), (0.95, 0.6)]
NAMES = ("r0", "r1", "r2", "r3")


def test_accuracies_of_independent_raters_are_found() -> None:
    found = raters(unlabelled(rated(2000, TRUE, 1)), names=NAMES, least=20)
    assert isinstance(found, Agreement)
    for name, pair in zip(NAMES, TRUE, strict=True):
        assert found.accuracies[name] == pytest.approx(pair, abs=0.07)
    assert found.base_rate == pytest.approx(0.6, abs=0.05)


def test_probabilities_without_labels_are_nearly_true() -> None:
    cases, fresh = rated(2000, TRUE, 1), rated(2000, TRUE, 2)
    found = agreement(unlabelled(cases), names=NAMES, least=20, seed=0)
    assert isinstance(found, Calibrator)
    told = report(fresh, found.probabilities([case.scores for case in fresh]), names=NAMES, seed=0)
    assert told.ece is not None and told.ece.value < 0.1
    assert told.auroc is not None
    assert told.auroc.value > max(one.value for one in told.scorers.values() if one is not None)
    assert found.labels == {"agreement": 2000} and found.source == "agreement 2000"


def test_labels_are_not_looked_at() -> None:
    cases = rated(500, TRUE, 1)
    assert agreement(cases, names=NAMES, least=20, seed=0) == agreement(
        unlabelled(cases), names=NAMES, least=20, seed=0
    )


@pytest.mark.parametrize(("share", "most"), [(0.3, 0.075), (0.6, 0.125)])
def test_raters_that_copy_each_other_are_not_fully_believed(share: float, most: float) -> None:
    """One copies another's verdict in this share of the cases; fully believed, they err by 0.09 and 0.14."""
    random = np.random.default_rng(5)
    cases = []
    for case in rated(2000, [(0.85, 0.85), (0.8, 0.8), (0.7, 0.7)], 5):
        copied = case.scores["r0"] if random.random() < share else case.scores["r1"]
        cases.append(Case(case.query_id, {**case.scores, "r1": copied}, case.label, "anchor"))
    found = raters(cases, names=NAMES[:3], least=20)
    assert isinstance(found, Agreement)
    told = report(cases, found.probabilities, names=NAMES[:3], seed=0)
    assert told.ece is not None and told.ece.value < most


@pytest.mark.parametrize("names", [NAMES[:2], NAMES[:1], ()])
def test_fewer_than_three_raters_cannot_be_told_apart(names: tuple[str, ...]) -> None:
    found = agreement(rated(500, TRUE, 1), names=names, least=20, seed=0)
    assert found == "fewer than three scorers to compare"


def test_a_rater_that_always_says_the_same_is_none() -> None:
    cases = [Case(c.query_id, {**c.scores, "r2": 1.0}) for c in rated(500, TRUE[:2], 1)]
    assert agreement(cases, names=NAMES[:3], least=20, seed=0) == "fewer than three scorers to compare"


def test_a_rule_that_the_others_build_on_is_no_rater_beside_them() -> None:
    """Where it says wrong, nobody can say right: that is one verdict and not three."""
    random = np.random.default_rng(4)
    cases = []
    for case in rated(1000, TRUE[:3], 4):
        valid = case.label or random.random() > 0.15
        cases.append(Case(case.query_id, {"rule": float(valid), **{k: v * valid for k, v in case.scores.items()}}))
    assert agreement(cases, names=("rule", "r0", "r1"), least=20, seed=0) == "fewer than three scorers to compare"
    found = raters(cases, names=("rule", "r0", "r1", "r2"), least=20)
    assert isinstance(found, Agreement) and set(found.accuracies) == {"r0", "r1", "r2"}


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_not_taken_for_agreement(seed: int) -> None:
    cases = rated(1000, [(0.5, 0.5)] * 4, seed)
    assert agreement(cases, names=NAMES, least=20, seed=0) == "the scorers do not agree"


def test_one_rater_against_all_others_is_left_out() -> None:
    cases = rated(1000, [*TRUE[:3], (0.2, 0.2)], 1)
    found = raters(cases, names=NAMES, least=20)
    assert isinstance(found, Agreement) and set(found.accuracies) == {"r0", "r1", "r2"}


def test_few_cases_are_not_compared() -> None:
    assert agreement(rated(99, TRUE, 1), names=NAMES, least=20, seed=0) == "too few cases"
    assert agreement(rated(299, TRUE, 1), names=NAMES, least=300, seed=0) == "too few cases"
    assert isinstance(agreement([], names=NAMES, least=20, seed=0), str)


def test_undecided_scorers_are_no_obstacle() -> None:
    random = np.random.default_rng(2)
    cases = [
        Case(c.query_id, {k: v for k, v in c.scores.items() if random.random() < 0.8}, c.label, "anchor")
        for c in rated(2000, TRUE, 2)
    ]
    cases.append(Case("none", {}))
    found = raters(cases, names=NAMES, least=20)
    assert isinstance(found, Agreement) and found.probabilities[-1] is None
    told = report(cases, found.probabilities, names=NAMES, seed=0)
    assert told.auroc is not None and told.auroc.value > 0.85
    assert isinstance(agreement(cases, names=NAMES, least=20, seed=0), Calibrator)


def test_the_same_seed_gives_the_same_version() -> None:
    cases = rated(2100, TRUE, 1)
    versions = [agreement(cases, names=NAMES, least=20, seed=3) for _ in range(2)]
    assert all(isinstance(one, Calibrator) and one.n == 2000 for one in versions) and versions[0] == versions[1]
