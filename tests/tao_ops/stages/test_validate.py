"""Queries become prompts: checked, merged, split, and none of them an exam item."""

import json
from typing import Any

import pytest

from tao_ops.errors import ConfigError, DataError, MissingInput
from tao_ops.stages import ingest, validate
from tao_ops.tables import PROMPTS, QUARANTINE, RESPONSES, REWARDS, TURNS

Shop = Any
EXAM = "Mia here, my kettle never came to Oslo."


@pytest.fixture
def shop(shop: Shop) -> Shop:
    shop.change("validate.holdout", 0.0)
    return shop


def _ingested(shop: Shop, *texts: str) -> Any:
    shop.log(texts) if texts else shop.log()
    ingest.run(shop.run())
    return shop.run()


def _prompts(shop: Shop) -> list[dict[str, Any]]:
    rows = shop.run().lake.read(PROMPTS).to_pylist()
    return sorted(rows, key=lambda row: row["messages"][-1]["content"])


def test_good_queries_become_prompts(shop: Shop) -> None:
    report = validate.run(_ingested(shop))
    assert (report.rows_in, report.rows_out) == (12, 12)
    assert report.metrics == {"quarantine": {}, "merged": 0, "train": 12, "holdout": 0, "shards": 1}
    assert report.inputs == {"queries": shop.versions()["queries"]}
    assert {(row["split"], row["count"], row["task"]) for row in _prompts(shop)} == {("train", 1, "tickets")}


def test_running_again_replaces_the_rows(shop: Shop) -> None:
    run = _ingested(shop)
    validate.run(run)
    before = _prompts(shop)
    validate.run(shop.run(run_id="manual__2"))
    assert [{**row, "run_id": "manual__1"} for row in _prompts(shop)] == before


def test_equal_queries_are_one_prompt_with_a_count(shop: Shop) -> None:
    report = validate.run(_ingested(shop, *["Anna here, hello there"] * 3, "Bela here, hello there"))
    assert [row["count"] for row in _prompts(shop)] == [3, 1]
    assert report.metrics["merged"] == 2


def test_rows_that_fail_an_expectation_are_quarantined_with_its_words(shop: Shop) -> None:
    validate.run(_ingested(shop, "too short", "Anna here, hello there"))
    (row,) = shop.run().lake.read(QUARANTINE, stage="validate").to_pylist()
    assert row["reason"] == "expectation" and row["position"] == "req-21-0"
    assert row["excerpt"].startswith("expect_column_value_lengths_to_be_between(") and "too short" in row["excerpt"]
    assert len(_prompts(shop)) == 1


@pytest.mark.parametrize("text", [EXAM, EXAM.upper(), EXAM.replace(" ", "  ")])
def test_an_exam_item_never_becomes_a_prompt(shop: Shop, text: str) -> None:
    report = validate.run(_ingested(shop, text, "Anna here, hello there"))
    assert report.metrics["quarantine"] == {"benchmark_item": 1}
    assert [row["messages"][0]["content"] for row in _prompts(shop)] == ["Anna here, hello there"]


def test_the_holdout_is_the_same_in_every_turn(shop: Shop) -> None:
    shop.change("validate.holdout", 0.5)
    validate.run(_ingested(shop))
    first = {row["query_id"]: row["split"] for row in _prompts(shop)}
    assert set(first.values()) == {"train", "holdout"}
    shop.log(day=22)
    ingest.run(shop.run(day=22))
    validate.run(shop.run(day=22))
    again = shop.run().lake.read(PROMPTS, turn="2026-11-22T00:00Z").to_pylist()
    assert {row["query_id"]: row["split"] for row in again} == first


def test_fewer_shards_than_before_leave_nothing_of_the_old_ones(shop: Shop) -> None:
    run = _ingested(shop)
    for shard in range(3):
        score = {"response_id": f"r{shard}", "query_id": "q", "scores": [], "reward": 0.0, "flags": []}
        sampled = {"response_id": f"r{shard}", "query_id": "q", "token_ids": [], "logprobs": []}
        run.lake.write(RESPONSES, [sampled], turn=run.turn, run_id="r", shard=shard)
        run.lake.write(REWARDS, [score], turn=run.turn, run_id="r", shard=shard)
        run.lake.write(TURNS, [{"inputs": []}], turn=run.turn, run_id="r", stage="generate", shard=shard)
    assert validate.run(run).metrics["shards"] == 1
    for table in (RESPONSES, REWARDS, TURNS):
        assert run.lake.read(table).column("shard").to_pylist() == [0], table.name


def test_there_are_never_more_shards_than_prompts(shop: Shop) -> None:
    shop.change("generate.shards", 8)
    assert validate.run(_ingested(shop, "Anna here, hello there", "Bela here, hello there")).metrics["shards"] == 2


def _refused(shop: Shop, kind: type[Exception], said: str) -> None:
    before = shop.versions()
    with pytest.raises(kind, match=said) as caught:
        validate.run(shop.run())
    assert "\n" not in str(caught.value)
    assert shop.versions() == before


def test_before_ingest_it_says_so(shop: Shop) -> None:
    _refused(shop, MissingInput, r"no queries of this turn \[2026-11-21T00:00Z\] — run ingest first")


def test_a_missing_benchmark_changes_nothing(shop: Shop) -> None:
    run = _ingested(shop)
    (shop.settings.include / "exam" / "items.jsonl").unlink()
    before = shop.versions()
    with pytest.raises(ConfigError, match=r"benchmark exam cannot be read.*exam/items\.jsonl.*'path'"):
        validate.run(run)
    assert shop.versions() == before


def test_a_failed_expectation_about_the_table_changes_nothing(shop: Shop) -> None:
    _ingested(shop)
    many = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 100}}
    suite = {"name": "shop", "expectations": [many]}
    (shop.settings.include / "expectations.json").write_text(json.dumps(suite), encoding="utf-8")
    _refused(shop, DataError, r"expectation failed: expect_table_row_count_to_be_between\(min_value=100\) .* — ")


def test_a_day_with_nothing_to_train_on_changes_nothing(shop: Shop) -> None:
    _ingested(shop, EXAM, "short")
    _refused(shop, DataError, "no prompt to train on is left of 2 queries .* — ")
