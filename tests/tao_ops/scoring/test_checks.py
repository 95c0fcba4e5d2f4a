"""What is wrong with scorers is said before anything is scored."""

import json
from typing import Any

import pytest

from tao_ops.errors import ConfigError
from tao_ops.scoring.checks import check_scoring

Shop = Any


def test_the_small_flywheel_is_all_right(shop: Shop) -> None:
    check_scoring(shop.run().flywheel)


@pytest.mark.parametrize(
    ("scorer", "said"),
    [
        ({"name": "json_schema"}, "no schema to check"),
        ({"name": "json_schema", "file": "bad.json"}, "bad.json"),
        ({"name": "label", "file": "empty.txt"}, "empty.txt"),
        ({"name": "instructions", "constraints": [{"id": "length:words"}]}, "length:words"),
        ({"name": "sql_execution", "sql": {"database": "none.sqlite"}}, "none.sqlite"),
        ({"name": "mine", "kind": "own", "file": "mine.py"}, "no function 'score'"),
    ],
)
def test_a_scorer_that_cannot_be_used_is_named(shop: Shop, scorer: dict[str, Any], said: str) -> None:
    include = shop.settings.include
    (include / "bad.json").write_text('{"type": "objekt"}', encoding="utf-8")
    (include / "empty.txt").write_text("\n", encoding="utf-8")
    (include / "mine.py").write_text("x = 1\n", encoding="utf-8")
    shop.change("tasks.tickets.scorers", [scorer])
    with pytest.raises(ConfigError, match=said):
        check_scoring(shop.run().flywheel)


def test_an_anchor_that_is_an_item_of_the_benchmark_is_refused(shop: Shop) -> None:
    item = json.loads((shop.settings.include / "exam" / "items.jsonl").read_text(encoding="utf-8").splitlines()[0])
    line = {"messages": item["messages"], "response": "{}", "correct": False}
    (shop.settings.include / "a.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    shop.change("tasks.tickets.calibration", {"anchors": "a.jsonl"})
    with pytest.raises(ConfigError, match=r"equal to a benchmark item .*a\.jsonl: anchor 1"):
        check_scoring(shop.run().flywheel)
