"""Rewards of outputs are by the task's scorers, without a reference, each output alone."""

from typing import Any

import pytest

from tao_ops.benchmarks.item_sets import Item, ItemSet
from tao_ops.evaluating.exams import Exam
from tao_ops.evaluating.rewarding import with_rewards
from tao_ops.records import ModelRef
from tests.tao_ops.conftest import TEXTS, right_answer

Shop = Any
ITEMS = ItemSet("exam", "v1", tuple(Item(f"i{n}", ({"role": "user", "content": t},), {}) for n, t in enumerate(TEXTS)))


def _rewards(shop: Shop, outputs: list[str | None], arm: str = "candidate", **more: Any) -> list[float | None]:
    flywheel = shop.run().flywheel
    benchmark = flywheel.tasks["tickets"].benchmarks[0]
    exam = Exam(arm, ModelRef("m", "v"), "tickets", benchmark, ITEMS, "v1", "p", 64, ())
    rows = [
        {"arm": arm, "benchmark": "exam", "item_id": f"i{n}", "output": one, **more} for n, one in enumerate(outputs)
    ]
    found = with_rewards(flywheel, [exam], rows)
    assert all("text" not in row for row in found)
    return [row.get("reward") for row in found]


def test_right_wrong_and_empty_outputs(shop: Shop) -> None:
    outputs: list[str | None] = [right_answer(TEXTS[0]), right_answer(TEXTS[0]), "Sure, the customer is", " "]
    assert _rewards(shop, outputs) == [1.0, 0.0, 0.0, 0.0], "the second names another item's customer"


def test_the_control_has_none_and_a_text_that_is_not_kept_counts_once(shop: Shop) -> None:
    assert _rewards(shop, [right_answer(TEXTS[0])], "control") == [None]
    assert _rewards(shop, [None], text=right_answer(TEXTS[0])) == [1.0]
    assert _rewards(shop, [None], reward=0.25) == [0.25], "what is stored stands"


@pytest.mark.parametrize("kind", ["consensus", "refusal"])
def test_scorers_that_say_nothing_of_one_answer_decide_nothing(shop: Shop, kind: str) -> None:
    shop.change("tasks.tickets.scorers", [{"name": kind}])
    assert _rewards(shop, [right_answer(TEXTS[0])]) == [None]
