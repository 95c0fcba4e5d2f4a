"""What is of the exam, or near it, is no worked example."""

import json
from typing import Any

import pytest

from tao_ops.errors import ConfigError
from tao_ops.exploration.checks import check_exploration

Shop = Any
ITEM = "Mia here, my kettle never came to Oslo."


def _example(shop: Shop, text: str) -> None:
    turns = [{"role": "user", "content": text}, {"role": "assistant", "content": "{}"}]
    good = [{"role": "user", "content": "Zoe here, my rake never came to Lima."}, turns[1]]
    lines = [json.dumps({"messages": messages}) for messages in (good, turns)]
    (shop.settings.include / "examples.jsonl").write_text("\n\n".join(lines), encoding="utf-8")


@pytest.mark.parametrize(("text", "like"), [(ITEM, "equal"), (ITEM.upper(), "equal"), (ITEM + "!", "near")])
def test_an_example_that_is_a_benchmark_item_is_named_with_its_line(shop: Shop, text: str, like: str) -> None:
    _example(shop, text)
    said = rf"a worked example is {like} to a benchmark item \[.*examples\.jsonl:3\] — write another example"
    with pytest.raises(ConfigError, match=said):
        check_exploration(shop.run().flywheel)


def test_another_example_is_fine(shop: Shop) -> None:
    _example(shop, "Yuri here, my spade never came to Rome.")
    check_exploration(shop.run().flywheel)


def test_an_item_is_known_also_where_it_holds_what_is_redacted_in_logs(shop: Shop) -> None:
    text = "Mia here, write to mia.miller@example.com about my kettle."
    items = shop.settings.include / "exam" / "items.jsonl"
    item = {"item_id": "mail", "messages": [{"role": "user", "content": text}], "reference": {"customer": "Mia"}}
    items.write_text(items.read_text(encoding="utf-8") + json.dumps(item) + "\n", encoding="utf-8")
    _example(shop, text)
    with pytest.raises(ConfigError, match="equal to a benchmark item"):
        check_exploration(shop.run().flywheel)


def test_an_item_is_known_by_its_bare_question_too(shop: Shop) -> None:
    exam = shop.settings.include / "exam" / "items.jsonl"
    exam.unlink()
    (shop.settings.include / "ask.txt").write_text("A table of many cities.\n\n$question", encoding="utf-8")
    (exam.parent / "items.csv").write_text(f'item_id,question,city\n1,"{ITEM}",Oslo\n', encoding="utf-8")
    flywheel = shop.run().flywheel
    task = flywheel.tasks["tickets"]
    templated = task.benchmarks[0].model_copy(update={"template": "ask.txt"})
    flywheel.tasks["tickets"] = task.model_copy(update={"benchmarks": (templated,)})
    _example(shop, ITEM)
    with pytest.raises(ConfigError, match="equal to a benchmark item"):
        check_exploration(flywheel)
