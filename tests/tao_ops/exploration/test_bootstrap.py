"""Worked examples out of earlier turns: sure ones, of training prompts alone, and none of the exam."""

import json
from typing import Any

import pytest

from tao_ops import runner
from tao_ops.exploration.bootstrap import bootstrapped
from tao_ops.stages import Stage, generate
from tao_ops.tables import PROMPTS, RESPONSES

Shop = Any


@pytest.fixture
def shop(shop: Shop) -> Shop:
    """The turn before has been explored and scored."""
    shop.change("validate.holdout", 0.3)
    strategies = shop.run().flywheel.model_dump(mode="json")["tasks"]["tickets"]["strategies"]
    told = {"name": "own", "kind": "demonstrations", "samples": 2, "bootstrap": {"examples": 2, "min_reward": 0.8}}
    shop.change("tasks.tickets.strategies", [*strategies, told])
    shop.log(day=20)
    for stage in (Stage.INGEST, Stage.VALIDATE, Stage.GENERATE, Stage.SCORE):
        runner.execute(stage, shop.run(day=20))
    shop.log([f"{name} here, my lamp never came to Turin." for name in ("Ada", "Ben", "Cyd", "Dan", "Eli")], day=21)
    for stage in (Stage.INGEST, Stage.VALIDATE):
        runner.execute(stage, shop.run(day=21))
    return shop


def _examples(shop: Shop, day: int = 21) -> list[list[dict[str, str]]]:
    run = shop.run(day=day)
    return bootstrapped(run.lake, run.flywheel, run.turn, "tickets")["own"]  # type: ignore[return-value]


def _prompts(shop: Shop, split: str) -> set[str]:
    rows = shop.run().lake.read(PROMPTS, turn="2026-11-20T00:00Z", split=split).to_pylist()
    return {row["messages"][-1]["content"] for row in rows}


def test_they_are_sure_responses_to_training_prompts_of_the_turn_before(shop: Shop) -> None:
    examples = _examples(shop)
    asked = [example[-2]["content"] for example in examples]
    assert len(examples) == len(set(asked)) > 2
    assert set(asked) <= _prompts(shop, "train") and _prompts(shop, "holdout")
    for example in examples:
        assert [m["role"] for m in example] == ["user", "assistant"]
        assert json.loads(example[-1]["content"])["customer"] == example[0]["content"].split()[0]


def test_what_is_not_sure_is_no_example(shop: Shop) -> None:
    shop.change("tasks.tickets.scorers", [{"name": "json_schema", "keys": ["customer", "product"]}])
    runner.execute(Stage.SCORE, shop.run(day=20, run_id="manual__2"))
    assert _examples(shop) == []


def test_what_has_become_an_item_of_the_exam_is_no_example(shop: Shop) -> None:
    text = _examples(shop)[0][0]["content"]
    items = shop.settings.include / "exam" / "items.jsonl"
    item = {"item_id": "new", "messages": [{"role": "user", "content": text}], "reference": {"city": "x"}}
    items.write_text(items.read_text(encoding="utf-8") + json.dumps(item) + "\n", encoding="utf-8")
    assert text not in [example[0]["content"] for example in _examples(shop)]


def test_a_turn_has_no_examples_of_its_own_or_of_a_later_one(shop: Shop) -> None:
    assert _examples(shop, day=20) == []


def test_the_next_turn_is_sampled_with_them_and_the_first_one_says_that_it_has_none(shop: Shop) -> None:
    generate.run(shop.run(day=21))
    rows = shop.run(day=21).lake.read(RESPONSES, turn="2026-11-21T00:00Z", strategy="own").to_pylist()
    assert rows and {json.loads(row["answer"])["city"] for row in rows} == {"Turin"}
    assert not shop.run().lake.read(RESPONSES, turn="2026-11-20T00:00Z", strategy="own").num_rows
    assert "tickets/own: no example of earlier turns is good enough yet, it is left out" in shop.said
