"""A budget is never overspent, whatever is sampled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tao_ops.config import BudgetConfig
from tao_ops.exploration import Budget


def test_shards_share_it_by_their_prompts_and_never_exceed_it() -> None:
    config = BudgetConfig(samples=100, tokens=1000)
    parts = [Budget.share(config, mine, 7) for mine in (3, 3, 1)]
    assert sum(p.samples or 0 for p in parts) <= 100 and sum(p.tokens or 0 for p in parts) <= 1000
    assert parts[0] == Budget(42, 428)


def test_no_budget_is_no_bound() -> None:
    budget = Budget.share(None, 1, 2)
    assert budget == Budget(None, None) and all(budget.take(10**9) for _ in range(3))


@given(st.integers(0, 200), st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1)), max_size=40))
def test_what_is_set_aside_and_given_back_adds_up(whole: int, asked: list[tuple[int, float]]) -> None:
    budget, spent = Budget(None, whole), 0
    for bound, share in asked:
        if budget.take(bound):
            used = int(bound * share)
            budget.give_back(tokens=bound - used)
            spent += used
    assert spent <= whole and budget.tokens == whole - spent


@pytest.mark.parametrize("budget", [Budget(0, None), Budget(None, 9), Budget(5, 9), Budget(0, 100)])
def test_what_does_not_fit_is_not_taken(budget: Budget) -> None:
    before = (budget.samples, budget.tokens)
    assert not budget.take(10) and (budget.samples, budget.tokens) == before
