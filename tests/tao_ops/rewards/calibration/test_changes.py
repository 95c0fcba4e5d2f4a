"""A scorer whose scores have shifted is seen, of few values as of many, and so is one that stops deciding."""

import doctest

import numpy as np
import pytest

from tao_ops.rewards.calibration import Calibrator, changes, drift, fit, moved
from tests.tao_ops.rewards.calibration.made import NAMES, labelled


def _rows(values: list[float]) -> list[dict[str, float]]:
    return [{"s": float(value)} for value in values]


def test_the_same_scores_have_not_drifted() -> None:
    rows = [case.scores for case in labelled(500, 1)]
    assert drift(rows, rows) == dict.fromkeys(NAMES, 0.0)
    again = drift(rows, [case.scores for case in labelled(500, 2)])
    assert all(value is not None and value < 0.1 for value in again.values())


def test_the_index_is_that_of_the_formula() -> None:
    before, now = _rows([0.0] * 50 + [1.0] * 50), _rows([0.0] * 20 + [1.0] * 80)
    wanted = (0.2 - 0.5) * np.log(0.2 / 0.5) + (0.8 - 0.5) * np.log(0.8 / 0.5)
    assert drift(before, now)["s"] == pytest.approx(wanted)


@pytest.mark.parametrize("common", [0.0, 1.0])
def test_a_scorer_that_nearly_always_said_the_same_drifts_when_it_no_longer_does(common: float) -> None:
    before = _rows([common] * 97 + [1.0 - common] * 3)
    assert drift(before, _rows([common] * 50 + [1.0 - common] * 50))["s"] > 0.25


def test_a_shift_of_fine_scores_is_seen() -> None:
    random = np.random.default_rng(1)
    before, same, lower = random.random(1000), random.random(1000), random.random(1000) ** 2
    assert drift(_rows(before), _rows(same))["s"] < 0.1
    assert drift(_rows(before), _rows(lower))["s"] > 0.25


def test_a_scorer_that_stops_deciding_drifts_and_one_that_is_gone_cannot_be_compared() -> None:
    before = _rows([0.0, 1.0] * 50)
    assert drift(before, [*before[:50], *[{}] * 50])["s"] > 0.25
    assert drift(before, [{}] * 50) == {"s": None} and drift([], []) == {}


def test_how_far_probabilities_moved() -> None:
    one = fit(labelled(60, 1), names=NAMES, least=20, isotonic=200, seed=0)
    assert isinstance(one, Calibrator)
    other = one.model_copy(update={"intercept": one.intercept + 1.0})
    rows = [case.scores for case in labelled(100, 2)]
    assert moved(one, one, rows) == 0.0 and 0.0 < moved(one, other, rows) < 0.25
    assert moved(one, other, [{}]) is moved(one, other, []) is None


def test_examples() -> None:
    assert doctest.testmod(changes).failed == 0
