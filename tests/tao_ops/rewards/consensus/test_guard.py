"""When a majority is not believed."""

from collections.abc import Sequence
from typing import Any

import pytest

from tao_ops.config import ConsensusConfig, GuardConfig
from tao_ops.records import Candidate
from tao_ops.rewards.base import Score
from tao_ops.rewards.consensus import Answer, json_answer, score


def _score(pools: Sequence[Sequence[str]], others: Sequence[float | None] = (), **guard: Any) -> list[Score]:
    batch = [Candidate(f"q{n}", "", text) for n, pool in enumerate(pools) for text in pool]
    config = ConsensusConfig(kind="consensus", name="consensus", guard=GuardConfig(**guard))
    return score(batch, config=config, answers=[json_answer(c.text) for c in batch], others=others)


def test_where_all_answers_of_all_queries_are_alike_a_majority_says_nothing() -> None:
    collapsed = [[f"answer {n}"] * 4 for n in range(12)]
    assert {one.reason for one in _score(collapsed)} == {
        "the answers of a query hardly differ: a majority says nothing"
    }
    assert all(one.decided for one in _score(collapsed, diversity=0.0))
    assert all(one.decided for one in _score(collapsed[:9]))  # too few queries to say so
    mixed = [[*pool[:3], "something else"] for pool in collapsed]
    assert all(one.decided for one in _score(mixed))


def test_what_could_not_be_compared_is_no_agreement() -> None:
    batch = [Candidate(f"q{n}", "", text) for n in range(12) for text in ("SELECT 1", "SELECT 1", "SELEC", "SEL")]
    answers: list[Answer | None] = [{"": f"{c.query_id}"} if c.text == "SELECT 1" else None for c in batch]
    found = score(batch, config=ConsensusConfig(kind="consensus", name="c"), answers=answers)
    assert all(one.decided for one in found if one.reason != "its answer could not be found")


def test_where_nearly_all_queries_have_the_same_answer_no_majority_is_believed() -> None:
    pools = [["I cannot help.", "I cannot help.", f"order {n}"] for n in range(12)]
    assert {one.reason for one in _score(pools)} == {"nearly all queries have the same answer"}
    assert all(one.decided for one in _score(pools, same_answer=1.0))


def test_a_majority_that_the_other_scorers_hold_for_worse_is_undecided() -> None:
    pool = [["x", "x", "x", "y", "y"]]
    doubted = _score(pool, [0.2, 0.3, 0.2, 0.9, 0.8])
    assert {one.reason for one in doubted} == {"the other scorers prefer another answer"}
    assert all(one.decided for one in _score(pool, [0.7, 0.8, 0.7, 0.9, 0.8]))  # within the margin
    assert all(one.decided for one in _score(pool, [None] * 5))
    assert all(one.decided for one in _score([["x", "x", "x", "y"]], [0.2, 0.2, 0.2, 0.9]))  # a lone vote is no rival


@pytest.mark.parametrize("rounds", [4])
def test_a_wrong_majority_does_not_grow_against_a_scorer_that_knows_better(rounds: int) -> None:
    """Each round the pool is drawn towards what was rewarded: without the guard the wrong answer takes all of it."""
    wrong, right = 6, 4
    for _ in range(rounds):
        pool = ["wrong"] * wrong + ["right"] * right
        others = [0.3] * wrong + [0.8] * right
        values = [one.value for one in _score([pool], others)]
        paid = values[0] is not None
        wrong, right = (min(10, wrong + 1), max(0, right - 1)) if paid else (wrong - 1, right + 1)
    assert right > wrong
