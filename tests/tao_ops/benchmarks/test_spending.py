"""The budget of false promotions: what each night may spend, and that a month spends no more than alpha."""

import doctest

import pytest

from tao_ops.benchmarks import spending


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_the_levels_of_all_candidates_add_up_to_alpha_and_no_more(alpha: float) -> None:
    levels = [spending.level(alpha, k) for k in range(1, 100_001)]
    assert 0.998 * alpha < sum(levels) < alpha
    assert levels == sorted(levels, reverse=True)


def test_a_month_of_nights_leaves_little_unspent() -> None:
    assert sum(spending.level(0.05, k) for k in range(1, 31)) > 0.9 * 0.05


@pytest.mark.parametrize(("alpha", "k", "says"), [(0.0, 1, "alpha"), (1.0, 1, "alpha"), (0.05, 0, "from 1, not 0")])
def test_what_is_no_level_or_no_candidate_is_refused(alpha: float, k: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        spending.level(alpha, k)


def test_the_docstrings_examples_hold() -> None:
    assert doctest.testmod(spending).failed == 0
