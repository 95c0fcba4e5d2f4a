"""Sources and their rules say what they need; what would be read as something else is refused."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from tao_ops.config import Flywheel, Format, IngestConfig, RetentionConfig, SourceConfig, TaskRule

COLUMNS = {"received_at": "at", "text": "said"}


def _said(kind: Any, values: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(values)
    return str(caught.value)


def _flywheel(**changes: Any) -> dict[str, Any]:
    task = {
        "prompt": "p.txt",
        "expectations": "e.json",
        "strategies": [{"name": "plain", "samples": 1}],
        "scorers": [{"name": "consensus"}],
        "benchmarks": [{"name": "b", "path": "b", "primary": True}],
        **changes.pop("task", {}),
    }
    return {"name": "shop", "sources": [{"path": "x"}], "tasks": {"t": task}, "evaluate": {"control": None}, **changes}


def test_a_source_is_a_path_of_chat_completions() -> None:
    source = SourceConfig(path="logs/*.jsonl")
    assert (source.format, source.namespace, source.tasks) == (Format.CHAT_COMPLETIONS, "default", ())
    assert source.non_text == "quarantine"


@pytest.mark.parametrize(
    "source",
    [
        {"format": "openai_batch", "requests": "in/*.jsonl"},
        {"format": "table", "columns": COLUMNS},
        {"format": "table", "columns": {"received_at": "at", "messages": "m", "user": "who"}},
        {"format": "inference_table"},
        {"format": "mlflow", "non_text": "strip"},
    ],
)
def test_a_format_with_what_it_needs_is_good(source: dict[str, Any]) -> None:
    assert SourceConfig(path="x", **source).format == source["format"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"format": "openai_batch"}, "'openai_batch' needs 'requests'"),
        ({"format": "litellm", "requests": "in/*.jsonl"}, "no other format takes them"),
        ({"format": "table"}, "'table' needs 'columns'"),
        ({"format": "otel", "columns": COLUMNS}, "no other format takes them"),
        ({"format": "table", "columns": {"text": "said"}}, "'columns' needs 'received_at'"),
        ({"format": "table", "columns": {"received_at": "at", "user": "who"}}, "and 'messages' or 'text'"),
        ({"format": "table", "columns": {**COLUMNS, "time": "at"}}, "'received_at'"),
        ({"format": "csv"}, "'chat_completions'"),
        ({"non_text": "keep"}, "'quarantine' or 'strip'"),
        ({"path": None}, "path"),
        ({"folder": "x"}, "folder"),
    ],
)
def test_a_source_that_lacks_or_repeats_something_is_refused(source: dict[str, Any], said: str) -> None:
    assert said in _said(SourceConfig, {"path": "x", **source})


def test_a_rule_needs_something_to_go_by() -> None:
    for rule in ({}, {"model": ""}, {"tag": None}):
        assert "a rule needs one of 'model', 'route', 'tag', 'system_prompt'" in _said(TaskRule, {"task": "t", **rule})
    assert TaskRule(task="t", route="/v1/*").route == "/v1/*"


@pytest.mark.parametrize("digits", ["a" * 12, "0" * 64])
def test_a_prompts_hash_may_be_short(digits: str) -> None:
    assert TaskRule(task="t", system_prompt=digits).system_prompt == digits


@pytest.mark.parametrize("digits", ["a" * 11, "A" * 12, "g" * 12, "0" * 65, "be brief, be brief"])
def test_what_is_no_prompts_hash_is_refused(digits: str) -> None:
    assert "system_prompt" in _said(TaskRule, {"task": "t", "system_prompt": digits})


def test_a_rule_names_a_task_of_its_flywheel() -> None:
    rules = [{"task": "t", "model": "a"}, {"task": "sql", "model": "b"}]
    sources = [{"path": "x"}, {"path": "y", "tasks": rules}]
    assert "sources.1.tasks names 'sql', which is no task" in _said(Flywheel, _flywheel(sources=sources))
    sources[1]["tasks"] = rules[:1]
    assert Flywheel.model_validate(_flywheel(sources=sources)).sources[1].tasks[0].task == "t"


@pytest.mark.parametrize("similarity", [0.5, 0.9, 1.0])
def test_near_duplicates_are_between_half_alike_and_equal(similarity: float) -> None:
    flywheel = Flywheel.model_validate(_flywheel(task={"near_duplicates": similarity}))
    assert flywheel.tasks["t"].near_duplicates == similarity


@pytest.mark.parametrize("similarity", [0.49, 1.01, -1, "alike", float("nan")])
def test_a_similarity_beyond_that_is_refused(similarity: Any) -> None:
    assert "tasks.t.near_duplicates" in _said(Flywheel, _flywheel(task={"near_duplicates": similarity}))


def test_rows_are_kept_for_ever_where_nothing_is_said() -> None:
    kept = Flywheel.model_validate(_flywheel()).retention
    assert set(kept.model_dump().values()) == {None}
    some = RetentionConfig.model_validate({"queries": "90d", "quarantine": "12h"})
    assert (some.queries, some.quarantine, some.prompts) == (timedelta(days=90), timedelta(hours=12), None)
    assert "retention.registry" in _said(Flywheel, _flywheel(retention={"registry": "90d"}))
    assert "is not a duration" in _said(Flywheel, _flywheel(retention={"queries": 90}))


def test_a_turn_looks_back_two_days_where_nothing_is_said() -> None:
    assert IngestConfig().lateness == timedelta(days=2)
    assert Flywheel.model_validate(_flywheel(ingest={"lateness": "0d"})).ingest.lateness == timedelta()
