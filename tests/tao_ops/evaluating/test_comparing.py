"""A line of the report tells of the whole benchmark, of its slices, and of the outputs."""

from typing import Any

import pytest

from tao_ops.benchmarks.item_sets import Item, ItemSet
from tao_ops.config import BenchmarkConfig
from tao_ops.errors import ConfigError
from tao_ops.evaluating import comparing
from tao_ops.evaluating.exams import Exam
from tao_ops.records import ModelRef

ITEMS = ItemSet(
    "exam",
    "v1",
    tuple(
        Item(f"i{n}", ({"role": "user", "content": "?"},), {"a": 1}, {"family": family} if family else {})
        for n, family in enumerate(["tea", "tea", "coffee", "coffee", "coffee", ""])
    ),
)
BENCHMARK = BenchmarkConfig(name="exam", path="exam", primary=True, slices=("family",))
SLICES = {"family=coffee": ["i2", "i3", "i4"], "family=tea": ["i0", "i1"]}


def _rows(arm: str, scores: list[float], **more: Any) -> list[dict[str, Any]]:
    return [{"arm": arm, "item_id": f"i{n}", "score": score, **more} for n, score in enumerate(scores)]


def _line(rows: list[dict[str, Any]], slices: dict[str, list[str]] = SLICES) -> dict[str, Any]:
    exam = Exam("champion", ModelRef("m", "base"), "tickets", BENCHMARK, ITEMS, "v1-x", "p", 64, ())
    return comparing.line(exam, rows, slices, seed=1)


def test_items_are_in_the_slices_that_the_yaml_declares() -> None:
    assert comparing.slices(BENCHMARK, ITEMS) == SLICES
    assert comparing.slices(BENCHMARK.model_copy(update={"slices": ()}), ITEMS) == {}


def test_a_slice_that_no_item_has_is_named() -> None:
    said = r"no item of benchmark exam has a column 'colour' to slice by \[exam\] — mend the benchmark's 'slices'"
    with pytest.raises(ConfigError, match=said):
        comparing.slices(BENCHMARK.model_copy(update={"slices": ("family", "colour")}), ITEMS)


def test_a_drop_on_one_slice_shows_though_the_mean_rose() -> None:
    rows = _rows("champion", [1.0, 1.0, 0.0, 0.0, 0.0, 1.0]) + _rows("candidate", [0.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    line = _line(rows)
    assert line["delta"] == pytest.approx(1 / 6) and line["n"] == 6 and line["control"] is None
    coffee, tea = line["slices"]
    assert (tea["slice"], tea["n"], tea["champion"], tea["candidate"], tea["delta"]) == (
        "family=tea",
        2,
        1.0,
        0.0,
        -1.0,
    )
    assert (coffee["slice"], coffee["delta"]) == ("family=coffee", 1.0)
    assert coffee["ci_low"] <= 1.0 <= coffee["ci_high"] and 0 < coffee["p_value"] <= 1


def test_outputs_are_summed_up_by_arm() -> None:
    ok: dict[str, Any] = {"tokens": 10, "flags": [], "reward": 0.5}
    rows = _rows("champion", [1.0] * 4, **ok) + _rows("candidate", [1.0] * 4, **ok)
    rows[0] |= {"tokens": 50, "flags": ["truncated", "repeated"], "reward": None}
    told = _line(rows, {})["outputs"]
    shares = {"empty": 0.0, "truncated": 0.25, "repeated": 0.25}
    assert told["champion"] == {"tokens": 20.0, **shares, "reward": 0.5, "rewarded": 3}
    assert told["candidate"]["truncated"] == 0.0 and told["candidate"]["rewarded"] == 4
    without = _line(_rows("champion", [1.0, 0.0]) + _rows("candidate", [1.0, 1.0]), {})
    assert without["outputs"] == {"champion": None, "candidate": None}, "the harness told nothing but scores"
