"""What each method learns from a query's scored responses."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tao_ops.config import Method, UpdateConfig
from tao_ops.updating.selection import Row, select, shortage

CONFIG = UpdateConfig(min_rows=1)


def scored(
    pools: Mapping[str, Sequence[tuple[str, float | None]]], *, key: str = "", task: str = "tickets"
) -> list[dict[str, Any]]:
    """Responses by the text of their query, each as its answer and reward; ids begin with ``key``."""
    return [
        {
            "turn": "t",
            "query_id": f"{key}{text}",
            "response_id": f"{key}{text}:plain:{n}",
            "strategy": "plain",
            "answer": answer,
            "reward": reward,
            "finish_reason": "stop",
            "prompt": {"task": task, "messages": [{"role": "user", "content": text}]},
        }
        for text, pool in pools.items()
        for n, (answer, reward) in enumerate(pool)
    ]


def _texts(rows: Sequence[Row], role: str | None = None) -> list[str]:
    return [row["response"] for row in rows if role in (None, row["role"])]


def test_the_best_response_of_each_query_weighs_what_it_is_above_the_mean() -> None:
    rows = select(Method.RAFT, scored({"one": [("a", 0.0), ("b", 1.0)], "two": [("c", 0.9), ("d", 0.9)]}), CONFIG)
    found = {row["response"]: row for row in rows}
    assert set(found) == {"b", "c"} and {row["role"] for row in rows} == {"best"}
    # Margins of 0.5 and of 0, which counts a tenth; their mean weight is 1.
    assert (found["b"]["weight"], found["c"]["weight"]) == pytest.approx((0.5 / 0.3, 0.1 / 0.3))
    even = select(Method.RAFT, scored({"one": [("a", 0.0), ("b", 1.0)], "two": [("c", 0.9)]}), _config(weighted=False))
    assert [row["weight"] for row in even] == [1.0, 1.0]


def _config(**changed: Any) -> UpdateConfig:
    return CONFIG.model_copy(update=changed)


@pytest.mark.parametrize("method", [m for m in Method if m not in (Method.GRPO, Method.KTO)])
def test_a_query_without_a_good_response_teaches_nothing(method: Method) -> None:
    assert select(method, scored({"one": [("a", 0.49), ("b", 0.0)]}), CONFIG) == []


@pytest.mark.parametrize("method", list(Method))
def test_what_has_no_reward_was_cut_off_or_says_nothing_is_not_learnt(method: Method) -> None:
    rows = scored({"one": [("none", None), ("cut", 1.0), ("", 1.0), ("", 0.0), ("good", 0.8), ("bad", 0.0)]})
    rows[1]["finish_reason"] = "length"
    assert set(_texts(select(method, rows, CONFIG))) <= {"good", "bad"}
    assert select(method, rows[:4], CONFIG) == []


def test_pairs_hold_the_best_against_the_most_frequent_worse_answers() -> None:
    pool = [("good", 0.9), ("near", 0.8), ("rare", 0.3), ("often", 0.1), ("often", 0.1), ("odd", 0.2), ("other", 0.2)]
    rows = select(Method.DPO, scored({"one": pool}), _config(pairs=3))
    assert _texts(rows, "chosen") == ["good"] * 3
    # "near" is not 0.2 below; of those that are as frequent, the nearest to right.
    assert _texts(rows, "rejected") == ["often", "rare", "odd"]
    assert [row["unit"] for row in rows] == [0, 0, 1, 1, 2, 2]


def test_a_reward_exactly_the_margin_below_is_worse() -> None:
    rows = select(Method.DPO, scored({"one": [("good", 0.7), ("bad", 0.5)]}), _config(margin=0.2))
    assert _texts(rows, "rejected") == ["bad"]


def test_good_and_bad_answers_are_distinct_and_at_most_as_many_as_pairs() -> None:
    pool = [("a", 0.9), ("a", 0.9), ("b", 0.6), ("c", 0.5), ("between", 0.4), ("x", 0.3), ("y", 0.0), ("y", 0.0)]
    rows = select(Method.KTO, scored({"one": pool}), _config(pairs=2))
    assert (_texts(rows, "good"), _texts(rows, "bad")) == (["a", "b"], ["y", "x"])
    assert len({row["unit"] for row in rows}) == 4
    only_bad = select(Method.KTO, scored({"one": [("x", 0.1)]}), CONFIG)
    assert (_texts(only_bad, "good"), _texts(only_bad, "bad")) == ([], ["x"])


def test_a_group_goes_evenly_from_the_best_to_the_worst() -> None:
    pool = [(str(n), n / 10) for n in range(11)]
    rows = select(Method.GRPO_OFFLINE, scored({"one": pool}), _config(group=3))
    assert [row["reward"] for row in rows] == [1.0, 0.5, 0.0]
    few = select(Method.GRPO_OFFLINE, scored({"one": [("a", 0.9), ("b", 0.2)]}), _config(group=5))
    assert _texts(few) == ["a", "b", "a", "b", "a"]
    assert {row["unit"] for row in rows} == {0}


def test_a_group_whose_rewards_are_all_the_same_has_no_advantage() -> None:
    assert select(Method.GRPO_OFFLINE, scored({"one": [("a", 0.9), ("b", 0.9)]}), CONFIG) == []


def test_on_policy_asks_each_query_once() -> None:
    rows = select(Method.GRPO, scored({"one": [("a", 0.0), ("b", 0.1)], "two": [("c", 1.0)]}), CONFIG)
    assert sorted(row["query_id"] for row in rows) == ["one", "two"] and {row["role"] for row in rows} == {"query"}


@pytest.mark.parametrize("method", list(Method))
def test_the_rows_and_their_order_depend_on_texts_alone(method: Method) -> None:
    # Equal rewards throughout: ties are broken by the place in the pool and by answers.
    pools = {f"query {n}": [("b", 0.8), ("a", 0.8), ("y", 0.1), ("x", 0.1)] for n in range(6)}
    same = [{**row, "task": other} for other in ("tickets", "mails") for row in _selected(method, pools, "k1", other)]
    again = [{**row, "task": other} for other in ("tickets", "mails") for row in _selected(method, pools, "zz", other)]
    assert same == again and same
    both = scored(pools, key="9", task="a") + scored(pools, key="1", task="b")
    other = scored(pools, key="1", task="a") + scored(pools, key="9", task="b")
    assert [r["task"] for r in select(method, both, CONFIG)] == [r["task"] for r in select(method, other, CONFIG)]


def _selected(method: Method, pools: Mapping[str, Any], key: str, task: str) -> list[Row]:
    rows = scored(pools, key=key, task=task)
    rows = rows if key == "k1" else rows[::-1]
    found = select(method, rows, CONFIG)
    return [{name: value for name, value in row.items() if name not in ("query_id", "response_id")} for row in found]


GOOD_ONLY = {f"q{n}": [("a", 0.9), ("b", 0.9)] for n in range(3)}


@pytest.mark.parametrize(
    ("method", "pools", "said"),
    [
        (
            Method.RAFT,
            {"q": [("a", 0.4)]},
            "raft: only 0 of 1 queries have a response with a reward of at least 0.5; 1",
        ),
        (
            Method.DPO,
            GOOD_ONLY,
            "dpo: only 0 of 3 queries have .* at least 0.5 and another answer at least 0.2 below it",
        ),
        (Method.KTO, {"q": [("a", 0.4)]}, "kto: only 0 of 1 queries have .* at least 0.5, or of at most 0.3; 1 are"),
        (Method.KTO, GOOD_ONLY, "kto learns from .*: none of 3 queries has a bad one, with a reward of at most 0.3"),
        (Method.KTO, {"q": [("a", 0.1)]}, "none of 1 queries has a good one, with a reward of at least 0.5"),
        (
            Method.GRPO_OFFLINE,
            GOOD_ONLY,
            "grpo_offline: only 0 of 3 queries .* another reward: else all advantages are",
        ),
        (Method.GRPO, GOOD_ONLY, "grpo: only 3 of 3 queries have a response that could be scored; 4 are needed"),
    ],
)
def test_too_little_to_learn_from_is_told_with_the_method_and_what_it_needs(
    method: Method, pools: Mapping[str, Any], said: str
) -> None:
    why = shortage(method, select(method, scored(pools), CONFIG), len(pools), CONFIG)
    assert why is not None and re.search(said, why), why


def test_enough_is_no_shortage() -> None:
    pools = {f"q{n}": [("a", 0.9), ("b", 0.1)] for n in range(4)}
    for method in Method:
        assert shortage(method, select(method, scored(pools), CONFIG), 4, CONFIG) is None
