"""The tasks of one model share its training by what they lack."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from tao_ops.config import Balance, Method, UpdateConfig
from tao_ops.updating import balance
from tao_ops.updating.examples import examples
from tao_ops.updating.selection import Row, select
from tests.tao_ops.updating.test_selection import scored

POOL = [("good", 0.9), ("bad", 0.1), ("worse", 0.0)]


def _rows(method: Method = Method.RAFT, **tasks: int) -> list[Row]:
    every = []
    for task, count in tasks.items():
        every += scored({f"{task} {n}": POOL for n in range(count)}, task=task)
    return select(method, every, UpdateConfig(min_rows=1))


def _examples(rows: Sequence[Row]) -> dict[str, int]:
    told = balance.told(rows, {}, sorted({row["task"] for row in rows}))
    return {task: one["examples"] for task, one in told.items()}


def test_a_task_that_lacks_more_is_repeated_until_its_share_is_its_need() -> None:
    rows = balance.balanced(_rows(a=30, b=30), {"a": 0.6, "b": 0.25}, Balance.NEED)
    assert _examples(rows) == {"a": 72, "b": 30}
    # Whole passes first: nothing is there a third time before all are there twice.
    assert Counter(row["copies"] for row in rows if row["task"] == "a") == {2: 18, 3: 12}


def test_no_query_is_dropped_and_none_is_repeated_more_than_four_times() -> None:
    rows = balance.balanced(_rows(a=5, b=200), {"a": 0.9, "b": 0.1}, Balance.NEED)
    assert _examples(rows) == {"a": 20, "b": 200}
    three = balance.balanced(_rows(a=10, b=10, c=200), {"a": 0.5, "b": 0.4, "c": 0.1}, Balance.NEED)
    # The small ones keep their shares to each other.
    assert _examples(three) == {"a": 40, "b": 32, "c": 200}


def test_a_task_that_lacks_nothing_keeps_its_examples() -> None:
    rows = balance.balanced(_rows(a=10, b=10), {"a": 0.3, "b": 0.0}, Balance.NEED)
    assert _examples(rows) == {"a": 40, "b": 10}
    nothing = balance.balanced(_rows(a=10, b=10), {"a": 0.0, "b": 0.0}, Balance.NEED)
    assert _examples(nothing) == {"a": 10, "b": 10}


def test_equal_gives_each_task_as_many_and_none_changes_nothing() -> None:
    rows = _rows(a=10, b=25)
    assert _examples(balance.balanced(rows, {"a": 0.9, "b": 0.1}, Balance.EQUAL)) == {"a": 25, "b": 25}
    assert balance.balanced(rows, {"a": 0.9, "b": 0.1}, Balance.NONE) == rows


@pytest.mark.parametrize("how", list(Balance))
@pytest.mark.parametrize("method", list(Method))
def test_a_single_task_is_as_it_was(method: Method, how: Balance) -> None:
    rows = _rows(method, a=7)
    assert balance.balanced(rows, {"a": 0.4}, how) == rows


@pytest.mark.parametrize("method", list(Method))
def test_what_belongs_together_is_repeated_together(method: Method) -> None:
    rows = balance.balanced(_rows(method, a=3, b=6), {"a": 0.5, "b": 0.5}, Balance.NEED)
    copies: dict[tuple[str, int], set[int]] = {}
    for row in rows:
        copies.setdefault((row["query_id"], row["unit"]), set()).add(row["copies"])
    assert all(len(each) == 1 for each in copies.values())
    prompts = {"a": "A", "b": "B"}
    made = Counter(str(one.messages[0]["content"]) for one in examples(method, rows, prompts, {"a": 8, "b": 8}))
    assert made["A"] == made["B"] == len({unit for unit in copies if unit[0].startswith("b")})


def test_a_tasks_margins_do_not_change_its_share() -> None:
    rows = select(
        Method.RAFT,
        scored({f"a {n}": [("good", 0.9), ("bad", 0.0)] for n in range(4)}, task="a")
        + scored({f"b {n}": [("good", 0.9), ("nearly", 0.8)] for n in range(8)}, task="b"),
        UpdateConfig(min_rows=1),
    )
    found = balance.balanced(rows, {"a": 0.5, "b": 0.5}, Balance.NEED)
    weight = {task: sum(row["weight"] * row["copies"] for row in found if row["task"] == task) for task in ("a", "b")}
    assert weight == pytest.approx({"a": 8.0, "b": 8.0})


def test_it_is_the_same_on_every_installation() -> None:
    def copies(key: str) -> list[tuple[str, int]]:
        every: list[dict[str, Any]] = []
        for task, count in (("a", 5), ("b", 7)):
            every += scored({f"{task} {n}": POOL for n in range(count)}, key=f"{key}{task}", task=task)
        rows = balance.balanced(select(Method.RAFT, every, UpdateConfig(min_rows=1)), {}, Balance.EQUAL)
        return [(row["messages"][0]["content"], row["copies"]) for row in rows]

    assert copies("k1") == copies("other")


def test_what_a_task_lacks_is_what_its_production_prompt_does_not_earn() -> None:
    rows = scored({"one": [("x", 0.2), ("y", 0.4), ("shown", 1.0)], "two": [("x", 0.1), ("y", None)]}, task="a")
    rows[2]["strategy"] = "demonstrations"
    rows += scored({"three": [("x", 0.5), ("y", 1.0)]}, task="b")
    need = balance.needs(rows, {"a": {"plain"}, "b": {"asked otherwise"}})
    # Each query counts the same: means of 0.3 and 0.1. Of b, nothing was asked so, and all counts.
    assert need == pytest.approx({"a": 0.8, "b": 0.25})


def test_each_task_is_told_of_even_without_an_example() -> None:
    rows = balance.balanced(_rows(Method.DPO, a=2, b=3), {"a": 0.5, "b": 0.5}, Balance.NEED)
    told = balance.told(rows, {"a": 0.5, "b": 0.5}, ["a", "b", "c"])
    assert told["a"] == {"queries": 2, "examples": 6, "share": 0.5, "need": 0.5}
    assert told["c"] == {"queries": 0, "examples": 0, "share": 0.0, "need": None}
