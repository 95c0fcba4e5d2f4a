"""Queries become prompts: checked, merged, split, and none of them an exam item."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tao_ops import turns
from tao_ops.context import Context
from tao_ops.errors import ConfigError, DataError, MissingInput
from tao_ops.records import StageReport
from tao_ops.stages import validate
from tao_ops.tables import CLUSTERS, PROMPTS, QUARANTINE, QUERIES, RESPONSES, REWARDS, TURNS

Shop = Any
EXAM = "Mia here, my kettle never came to Oslo."
TEXTS = (
    "Anna here, my rain jacket never came to Den Haag.",
    "The blue lamp that I ordered has a broken shade.",
    "Where can I see what my subscription costs?",
    "Please change the address of my last order.",
)


@pytest.fixture
def shop(shop: Shop) -> Shop:
    shop.change("validate.holdout", 0.0)
    return shop


def _queries(shop: Shop, *texts: str, day: int = 21, **columns: Any) -> Any:
    """Write a day's queries as ``ingest`` does, a second apart; returns a run of the turn."""
    run = shop.run(day=day)
    rows = [
        {
            "query_id": f"q-{text}",
            "request_id": f"req-{day}-{i}",
            "source": "shop",
            "event_turn": run.turn.key,
            "task": "tickets",
            "received_at": datetime(2026, 11, day, 12, tzinfo=UTC) + timedelta(seconds=i),
            "messages": [{"role": "user", "content": text}],
            "user_hash": "u1",
            **columns,
        }
        for i, text in enumerate(texts or TEXTS)
    ]
    run.lake.write(QUERIES, rows, turn=run.turn, run_id=run.run_id)
    return run


def _prompts(shop: Shop, **where: Any) -> list[dict[str, Any]]:
    rows = shop.run().lake.read(PROMPTS, **where).to_pylist()
    return sorted(rows, key=lambda row: row["messages"][-1]["content"])


def _suite(shop: Shop, *expectations: tuple[str, dict[str, Any], str]) -> None:
    listed = [{"type": kind, "kwargs": kwargs, "severity": severity} for kind, kwargs, severity in expectations]
    path = shop.settings.include / "expectations.json"
    path.write_text(json.dumps({"name": "shop", "expectations": listed}), encoding="utf-8")


def _recorded(run: Any) -> StageReport:
    report = validate.run(run)
    turns.record(run, report)
    return report


def test_good_queries_become_prompts(shop: Shop) -> None:
    report = validate.run(_queries(shop))
    assert (report.rows_in, report.rows_out) == (4, 4)
    assert {name: report.metrics[name] for name in ("quarantine", "merged", "exam", "train", "holdout", "shards")} == {
        "quarantine": {},
        "merged": {"equal": 0, "near": 0},
        "exam": {"equal": 0, "near": 0},
        "train": 4,
        "holdout": 0,
        "shards": 1,
    }
    assert report.metrics["warnings"] == []
    assert report.inputs == {"queries": shop.versions()["queries"]}
    assert {(row["split"], row["count"], row["task"]) for row in _prompts(shop)} == {("train", 1, "tickets")}
    json.dumps(report.as_dict())


def test_running_again_replaces_the_rows_and_keeps_the_clusters(shop: Shop) -> None:
    run = _queries(shop, *TEXTS, TEXTS[0].upper(), "no")
    first = validate.run(run)
    before = {table.name: run.lake.read(table).to_pylist() for table in (PROMPTS, CLUSTERS, QUARANTINE)}
    again = validate.run(run)
    for table in (PROMPTS, CLUSTERS, QUARANTINE):
        rows = run.lake.read(table).to_pylist()
        assert sorted(rows, key=str) == sorted(before[table.name], key=str), table.name
    assert again.metrics == first.metrics


def test_equal_queries_are_one_prompt_with_a_count(shop: Shop) -> None:
    report = validate.run(_queries(shop, *[TEXTS[0]] * 2, TEXTS[0].upper(), TEXTS[1]))
    assert [(row["messages"][0]["content"], row["count"]) for row in _prompts(shop)] == [(TEXTS[0], 3), (TEXTS[1], 1)]
    assert report.metrics["merged"] == {"equal": 2, "near": 0}


def test_near_queries_are_merged_as_far_as_the_task_says(shop: Shop) -> None:
    long = "Good morning, I would like to know when my order of two garden chairs and a table will arrive at my house"
    texts = (f"{long}.", f"{long}!", TEXTS[1])
    shop.change("tasks.tickets.near_duplicates", 0.8)
    assert validate.run(_queries(shop, *texts)).metrics["merged"] == {"equal": 0, "near": 1}
    assert [(row["messages"][0]["content"], row["count"]) for row in _prompts(shop)] == [(texts[0], 2), (TEXTS[1], 1)]


def test_the_oldest_of_equal_queries_leads_however_they_are_stored(shop: Shop) -> None:
    run = _queries(shop, TEXTS[0], TEXTS[0].upper())
    rows = run.lake.read(QUERIES).to_pylist()
    run.lake.write(QUERIES, rows[::-1], turn=run.turn, run_id="r")
    validate.run(run)
    assert [row["query_id"] for row in _prompts(shop)] == [f"q-{TEXTS[0]}"]


def test_queries_that_fail_an_expectation_are_quarantined_with_its_words(shop: Shop) -> None:
    report = validate.run(_queries(shop, "too short", TEXTS[0], "too short"))
    first, second = shop.run().lake.read(QUARANTINE, stage="validate").sort_by("position").to_pylist()
    assert (first["reason"], first["position"], first["user_hash"]) == ("expectation", "req-21-0", "u1")
    assert first["excerpt"].startswith("expect_column_value_lengths_to_be_between(") and "too short" in first["excerpt"]
    assert second["position"] == "req-21-2" and len(_prompts(shop)) == 1
    assert report.metrics["quarantine"] == {"expectation": 2}


@pytest.mark.parametrize("text", [EXAM, EXAM.upper(), EXAM.replace(" ", "  ")])
def test_an_exam_item_never_becomes_a_prompt(shop: Shop, text: str) -> None:
    report = validate.run(_queries(shop, text, TEXTS[0]))
    assert report.metrics["quarantine"] == {"benchmark_item": 1}
    assert report.metrics["exam"] == {"equal": 1, "near": 0}
    assert [row["messages"][0]["content"] for row in _prompts(shop)] == [TEXTS[0]]


def test_nearly_an_exam_item_never_becomes_a_prompt_either(shop: Shop) -> None:
    shop.change("tasks.tickets.near_duplicates", 0.6)
    report = validate.run(_queries(shop, EXAM.replace(".", " !"), TEXTS[0]))
    assert report.metrics["exam"] == {"equal": 0, "near": 1}
    assert [row["messages"][0]["content"] for row in _prompts(shop)] == [TEXTS[0]]


def test_the_holdout_is_the_same_in_every_turn(shop: Shop) -> None:
    shop.change("validate.holdout", 0.5)
    texts = [f"{text} ({word})" for text in TEXTS for word in ("blue lamp", "garden chair", "a kettle of steel")]
    validate.run(_queries(shop, *texts))
    first = {row["query_id"]: row["split"] for row in _prompts(shop)}
    assert set(first.values()) == {"train", "holdout"}
    validate.run(_queries(shop, *reversed(texts), day=22))
    again = {row["query_id"]: row["split"] for row in _prompts(shop, turn="2026-11-22T00:00Z")}
    assert again == first


def test_fewer_shards_than_before_leave_nothing_of_the_old_ones(shop: Shop) -> None:
    run = _queries(shop)
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
    assert validate.run(_queries(shop, *TEXTS[:2])).metrics["shards"] == 2


def test_a_day_is_compared_with_the_turns_before_it(shop: Shop) -> None:
    volume = ("expect_column_values_to_be_between", {"column": "rows_ratio", "min_value": 0.5}, "critical")
    drift = ("expect_column_values_to_be_between", {"column": "language_drift", "max_value": 0.2}, "warning")
    _suite(shop, volume, drift)
    assert _recorded(_queries(shop)).metrics["warnings"] == []
    german = [f"Wo ist denn meine {thing} geblieben, die ich bestellt habe?" for thing in ("Jacke", "Lampe")]
    (warning,) = _recorded(_queries(shop, *german, day=22)).metrics["warnings"]
    assert warning.startswith("tickets: expect_column_values_to_be_between(column='language_drift'")
    assert f"warning: {warning}" in shop.said
    _queries(shop, TEXTS[0], day=23)
    _refused(shop, DataError, r"expectation failed: .*rows_ratio is 0\.3333 \[.*expectations\.json.* — ", day=23)


def test_a_turn_is_not_compared_with_those_after_it_nor_with_itself(shop: Shop) -> None:
    _suite(shop, ("expect_column_values_to_be_between", {"column": "rows_ratio", "max_value": 1}, "critical"))
    _recorded(_queries(shop, TEXTS[0], day=22))
    _recorded(_queries(shop, day=21))
    _recorded(_queries(shop, day=21))


def test_data_docs_are_named_in_the_log_and_the_report(shop: Shop) -> None:
    run = _queries(shop)
    docs = Path(validate.run(run).metrics["data_docs"])
    assert docs == run.lake.artifacts(run.turn, run.run_id) / "data_docs" / "index.html" and docs.is_file()
    assert f"data docs: {docs}" in shop.said
    assert not [path for path in docs.parent.iterdir() if "rain jacket" in path.read_text(encoding="utf-8")]


def test_tokens_are_counted_where_the_suite_asks_for_them(shop: Shop) -> None:
    limit = ("expect_column_values_to_be_between", {"column": "tokens", "max_value": 5}, "critical")
    _suite(shop, limit)
    run = _queries(shop, "one two three", "one two three four five six")
    _refused(shop, ConfigError, r"tokenizer cannot be read.*model/tokenizer\.json")
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(Path(run.flywheel.model) / "tokenizer.json"))
    assert validate.run(run).metrics["quarantine"] == {"expectation": 1}


def test_tasks_are_apart(shop: Shop) -> None:
    tickets = shop.run().flywheel.model_dump(mode="json", exclude_defaults=True)["tasks"]["tickets"]
    shop.change("tasks.orders", {**tickets, "benchmarks": [{"name": "other", "path": "exam"}]})
    run = _queries(shop)
    rows = run.lake.read(QUERIES).to_pylist()
    other = [{**row, "task": "orders", "source": "other", "query_id": f"o-{row['query_id']}"} for row in rows]
    run.lake.write(QUERIES, rows + other, turn=run.turn, run_id="r")
    report = validate.run(run)
    assert (report.rows_out, report.metrics["merged"]) == (8, {"equal": 0, "near": 0})
    assert {name: one["rows"] for name, one in report.metrics["observations"].items()} == {"tickets": 4, "orders": 4}


def _refused(shop: Shop, kind: type[Exception], said: str, day: int = 21) -> None:
    before = shop.versions()
    with pytest.raises(kind, match=said) as caught:
        validate.run(shop.run(day=day))
    assert "\n" not in str(caught.value)
    assert shop.versions() == before


def test_before_ingest_it_says_so(shop: Shop) -> None:
    _refused(shop, MissingInput, r"no queries of this turn \[2026-11-21T00:00Z\] — run ingest first")


def test_without_a_key_nothing_is_placed(shop: Shop) -> None:
    run = _queries(shop)
    with pytest.raises(ConfigError, match="TAO_HASH_KEY"):
        validate.run(replace(run, settings=replace(run.settings, hash_key=None)))


def test_a_missing_benchmark_changes_nothing(shop: Shop) -> None:
    run = _queries(shop)
    (shop.settings.include / "exam" / "items.jsonl").unlink()
    before = shop.versions()
    with pytest.raises(ConfigError, match=r"benchmark exam cannot be read.*exam/items\.jsonl.*'path'"):
        validate.run(run)
    assert shop.versions() == before


def test_a_failed_expectation_about_the_day_changes_nothing_but_is_in_the_data_docs(shop: Shop) -> None:
    run = _queries(shop)
    _suite(
        shop,
        ("expect_table_row_count_to_be_between", {"min_value": 100}, "critical"),
        ("expect_column_mean_to_be_between", {"column": "characters", "max_value": 3}, "critical"),
    )
    _refused(shop, DataError, r"expect_table_row_count_to_be_between\(min_value=100\): it is 4 \(and 1 more\) .* — ")
    assert (run.lake.artifacts(run.turn, run.run_id) / "data_docs" / "task-tickets.html").is_file()


def test_a_day_with_nothing_to_train_on_changes_nothing(shop: Shop) -> None:
    _queries(shop, EXAM, "short")
    _refused(shop, DataError, "no prompt to train on is left of 2 queries .* — ")


def test_a_query_that_does_not_fit_into_the_context_is_quarantined_and_never_cut(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Words for tokens: the small flywheel's model has no tokenizer.
    monkeypatch.setattr(Context, "_count", lambda self, messages: sum(len(m["content"].split()) for m in messages))
    shop.change("engine.context", 264)
    long = "My lamp is broken, please send another one. " * 25  # with the prompt 203 words, and 64 to come
    report = validate.run(_queries(shop, *TEXTS, long, long[:-60]))
    (row,) = shop.run().lake.read(QUARANTINE, stage="validate").to_pylist()
    assert (row["reason"], row["position"]) == ("too_long_for_context", "req-21-4")
    assert row["excerpt"].startswith("3 tokens too many: My lamp is broken") and row["user_hash"] == "u1"
    assert report.metrics["quarantine"] == {"too_long_for_context": 1}
    assert {p["messages"][-1]["content"] for p in _prompts(shop)} == {*TEXTS, long[:-60]}
