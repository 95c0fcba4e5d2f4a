"""Langfuse's exports become queries: generations, and traces that carry none."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tao_ops.config import SourceConfig
from tao_ops.sources.langfuse import reader
from tao_ops.sources.records import BrokenLine, LoggedQuery
from tao_ops.tables import Reason

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is my order?"}]
AT = datetime(2026, 11, 21, 8, 14, 3, 120_000, tzinfo=UTC)


def _read(record: Any) -> list[LoggedQuery | BrokenLine]:
    return list(reader(SourceConfig(path="x"))(record, "log:1"))


def _query(record: Any) -> LoggedQuery:
    (found,) = _read(record)
    assert isinstance(found, LoggedQuery), found
    return found


def _generation(**changes: Any) -> dict[str, Any]:
    generation = {
        "id": "obs-1",
        "traceId": "trace-1",
        "type": "GENERATION",
        "startTime": "2026-11-21T08:14:03.120Z",
        "model": "gpt-4o",
        "input": {"messages": MESSAGES, "tools": []},
        "output": {"role": "assistant", "content": "On its way."},
        "metadata": {"task": "tickets"},
        "userId": "u1",
        "tags": ["beta"],
        "traceName": "support",
    }
    return {**generation, **changes}


EXPECTED = LoggedQuery(
    position="log:1",
    request_id="obs-1",
    received_at=AT,
    messages=({"role": "user", "content": "Where is my order?"},),
    system="Be brief.",
    task="tickets",
    model="gpt-4o",
    route="support",
    tags=("beta",),
    user="u1",
    model_version="gpt-4o",
    response="On its way.",
)


def test_a_generation_of_the_api_is_read_whole() -> None:
    assert _query(_generation()) == EXPECTED


def test_a_generation_of_the_blob_storage_export_is_the_same() -> None:
    exported = {
        "id": "obs-1",
        "trace_id": "trace-1",
        "type": "GENERATION",
        "start_time": "2026-11-21 08:14:03.120000",
        "provided_model_name": "gpt-4o",
        "input": json.dumps(MESSAGES),
        "output": json.dumps({"role": "assistant", "content": "On its way."}),
        "metadata": json.dumps({"task": "tickets"}),
        "user_id": "u1",
        "tags": json.dumps(["beta"]),
        "trace_name": "support",
    }
    assert _query(exported) == EXPECTED


@pytest.mark.parametrize("kind", ["SPAN", "EVENT", "TOOL", "AGENT", "RETRIEVER", "EMBEDDING"])
def test_steps_around_a_generation_are_passed_over_without_a_word(kind: str) -> None:
    assert _read(_generation(type=kind)) == []


def test_scores_are_passed_over() -> None:
    assert (
        _read({"id": "s1", "timestamp": "2026-11-21T08:14:03Z", "name": "ok", "value": 1, "data_type": "NUMERIC"}) == []
    )


def test_a_trace_is_its_generations_and_gives_them_its_user_and_tags() -> None:
    inner = _generation(userId=None, tags=None, traceName=None, metadata=None)
    trace = {
        "id": "trace-1",
        "name": "support",
        "timestamp": "2026-11-21T08:14:00Z",
        "userId": "u1",
        "tags": ["beta"],
        "metadata": {"task": "tickets"},
        "input": "Where is my order?",
        "observations": [_generation(type="SPAN"), inner, {**inner, "id": "obs-2"}],
    }
    first, second = _read(trace)
    assert isinstance(first, LoggedQuery) and isinstance(second, LoggedQuery)
    assert (first.position, second.position) == ("log:1#0", "log:1#1")
    assert (first.request_id, second.request_id) == ("obs-1", "obs-2")
    assert (first.user, first.tags, first.route, first.task) == ("u1", ("beta",), "support", "tickets")


@pytest.mark.parametrize("observations", [None, [], ["obs-1", "obs-2"]])
def test_a_trace_without_its_generations_is_the_query(observations: Any) -> None:
    query = _query(
        {
            "id": "trace-1",
            "name": "support",
            "timestamp": "2026-11-21T08:14:03.120Z",
            "input": {"question": "Where is my order?"},
            "output": "On its way.",
            "observations": observations,
        }
    )
    assert (query.request_id, query.response, query.route) == ("trace-1", "On its way.", "support")
    assert query.messages == EXPECTED.messages


def test_an_input_that_holds_no_message_is_refused_with_its_time_and_user() -> None:
    (broken,) = _read(_generation(input={"a": 1, "b": 2}))
    assert isinstance(broken, BrokenLine)
    assert (broken.reason, broken.received_at, broken.user) == (Reason.NO_MESSAGES, AT, "u1")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (7, Reason.WRONG_SHAPE),
        ([], Reason.WRONG_SHAPE),
        ({}, Reason.WRONG_SHAPE),
        ({"type": 3, "timestamp": "2026-11-21T08:14:03Z"}, Reason.WRONG_SHAPE),
        (_generation(startTime="soon"), Reason.NO_TIME),
    ],
)
def test_what_is_neither_observation_nor_trace(record: Any, reason: Reason) -> None:
    (broken,) = _read(record)
    assert isinstance(broken, BrokenLine) and broken.reason is reason
