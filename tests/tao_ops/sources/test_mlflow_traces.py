"""MLflow's traces become queries: their calls of a model, else their root."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tao_ops.config import SourceConfig
from tao_ops.sources.mlflow_traces import reader
from tao_ops.sources.records import BrokenLine, LoggedQuery
from tao_ops.tables import Reason

AT = datetime(2026, 11, 21, 8, 14, 3, 120_000, tzinfo=UTC)
NANOS = int(AT.timestamp()) * 1_000_000_000 + 120_000_000
INPUTS = {
    "model": "gpt-4o",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is my order?"}],
}
OUTPUTS = {"model": "gpt-4o-2024-08-06", "choices": [{"message": {"role": "assistant", "content": "On its way."}}]}


def _span(span_id: str, parent: str | None, kind: str, inputs: Any, outputs: Any, **more: Any) -> dict[str, Any]:
    attributes = {"mlflow.spanType": kind, "mlflow.spanInputs": inputs, "mlflow.spanOutputs": outputs}
    return {
        "span_id": span_id,
        "parent_span_id": parent,
        "start_time_unix_nano": NANOS,
        "attributes": {key: json.dumps(value) for key, value in attributes.items()},
        **more,
    }


def _trace(*spans: dict[str, Any], **info: Any) -> dict[str, Any]:
    known = {
        "trace_id": "tr-1",
        "request_time": "2026-11-21T08:14:03.120Z",
        "trace_metadata": {"mlflow.trace.user": "u1"},
        "tags": {"mlflow.traceName": "support", "task": "tickets", "stage": "beta"},
    }
    return {"info": {**known, **info}, "data": {"spans": list(spans)}}


def _read(record: Any) -> list[LoggedQuery | BrokenLine]:
    return list(reader(SourceConfig(path="x"))(record, "log:1"))


def _query(record: Any) -> LoggedQuery:
    (found,) = _read(record)
    assert isinstance(found, LoggedQuery), found
    return found


ROOT = _span("s1", None, "CHAIN", {"question": "Where is my order?"}, "On its way.")
CALL = _span("s2", "s1", "CHAT_MODEL", INPUTS, OUTPUTS)


def test_a_call_of_a_model_within_a_trace_is_read_whole() -> None:
    assert _query(_trace(ROOT, CALL)) == LoggedQuery(
        position="log:1",
        request_id="tr-1:s2",
        received_at=AT,
        messages=({"role": "user", "content": "Where is my order?"},),
        system="Be brief.",
        task="tickets",
        model="gpt-4o",
        route="support",
        tags=("task=tickets", "stage=beta"),
        user="u1",
        model_version="gpt-4o-2024-08-06",
        response="On its way.",
    )


def test_a_trace_without_such_calls_is_its_root() -> None:
    query = _query(_trace(ROOT))
    assert (query.request_id, query.response) == ("tr-1", "On its way.")
    assert query.messages == ({"role": "user", "content": "Where is my order?"},)


def test_a_call_within_a_call_is_the_same_one_and_calls_side_by_side_are_two() -> None:
    inner, other = _span("s3", "s2", "LLM", INPUTS, OUTPUTS), _span("s4", "s1", "LLM", INPUTS, OUTPUTS)
    first, second = _read(_trace(ROOT, CALL, inner, other))
    assert isinstance(first, LoggedQuery) and isinstance(second, LoggedQuery)
    assert [(query.position, query.request_id) for query in (first, second)] == [
        ("log:1#0", "tr-1:s2"),
        ("log:1#1", "tr-1:s4"),
    ]


def test_spans_that_are_each_others_parent_are_no_endless_loop() -> None:
    a, b = _span("a", "b", "CHAIN", {}, {}), _span("b", "a", "CHAIN", {}, {})
    assert len(_read(_trace(a, b, _span("c", "a", "LLM", INPUTS, OUTPUTS)))) == 1


def test_a_row_of_a_search_is_the_trace_that_it_holds() -> None:
    whole = _trace(ROOT, CALL)
    assert _query({"trace_id": "tr-1", "trace": json.dumps(whole), "request_time": 1}) == _query(whole)
    row = {"trace_id": "tr-1", "request_time": int(AT.timestamp() * 1000), "request": INPUTS, "response": OUTPUTS}
    bare = _query(row)
    assert (bare.request_id, bare.received_at, bare.response) == ("tr-1", AT, "On its way.")


def test_the_info_of_mlflow_2_is_understood() -> None:
    info = {"request_id": "tr-1", "timestamp_ms": 1795248843120, "request_metadata": {"mlflow.trace.user": "u1"}}
    query = _query({"info": info, "data": {"request": json.dumps(INPUTS), "response": json.dumps(OUTPUTS)}})
    assert (query.request_id, query.received_at, query.user, query.response) == ("tr-1", AT, "u1", "On its way.")


def test_inputs_without_a_message_are_refused_with_their_time_and_user() -> None:
    (broken,) = _read(_trace(_span("s1", None, "CHAIN", {"a": 1, "b": 2}, None)))
    assert isinstance(broken, BrokenLine)
    assert (broken.reason, broken.received_at, broken.user) == (Reason.NO_MESSAGES, AT, "u1")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (None, Reason.WRONG_SHAPE),
        ([], Reason.WRONG_SHAPE),
        ({}, Reason.WRONG_SHAPE),
        ({"info": 7}, Reason.WRONG_SHAPE),
        (_trace(request_time=None), Reason.NO_TIME),
    ],
)
def test_what_is_no_trace(record: Any, reason: Reason) -> None:
    (broken,) = _read(record)
    assert isinstance(broken, BrokenLine) and broken.reason is reason


def test_a_trace_of_mlflow_itself_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(tmp_path.as_uri())
    try:
        mlflow.set_experiment("shop")

        @mlflow.trace(span_type="CHAT_MODEL")
        def chat(messages: Any, model: str) -> dict[str, Any]:
            return OUTPUTS

        @mlflow.trace
        def answer(question: str) -> str:
            mlflow.update_current_trace(tags={"task": "tickets"}, metadata={"mlflow.trace.user": "u1"})
            return str(chat([{"role": "user", "content": question}], "gpt-4o"))

        answer("Where is my order?")
        trace = mlflow.get_trace(mlflow.get_last_active_trace_id(), flush=True)
    finally:
        mlflow.set_tracking_uri(before)
    query = _query(json.loads(trace.to_json()))
    assert query.messages == ({"role": "user", "content": "Where is my order?"},)
    assert (query.task, query.user, query.model, query.route) == ("tickets", "u1", "gpt-4o", "answer")
    assert (query.model_version, query.response) == ("gpt-4o-2024-08-06", "On its way.")
    assert query.request_id is not None and query.request_id.startswith(trace.info.trace_id)
