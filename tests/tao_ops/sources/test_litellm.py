"""LiteLLM's payloads and spend-log rows become queries."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tao_ops.config import SourceConfig
from tao_ops.sources.litellm import reader
from tao_ops.sources.records import BrokenLine, LoggedQuery
from tao_ops.tables import Reason

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is my order?"}]
ANSWER = {"model": "gpt-4o-2024-08-06", "choices": [{"message": {"role": "assistant", "content": "On its way."}}]}


def _payload(**changes: Any) -> dict[str, Any]:
    payload = {
        "id": "chatcmpl-1",
        "call_type": "acompletion",
        "status": "success",
        "startTime": 1795248843.12,
        "model": "azure/gpt-4o-eu",
        "model_group": "gpt-4o",
        "metadata": {
            "user_api_key_request_route": "/v1/chat/completions",
            "requester_metadata": {"task": "tickets"},
        },
        "request_tags": ["beta", "eu"],
        "end_user": "u1",
        "messages": MESSAGES,
        "response": ANSWER,
    }
    return {**payload, **changes}


def _read(record: Any) -> LoggedQuery | BrokenLine:
    (found,) = reader(SourceConfig(path="x"))(record, "log:1")
    return found


def _query(**changes: Any) -> LoggedQuery:
    found = _read(_payload(**changes))
    assert isinstance(found, LoggedQuery), found
    return found


def test_a_payload_is_read_whole() -> None:
    assert _query() == LoggedQuery(
        position="log:1",
        request_id="chatcmpl-1",
        received_at=datetime(2026, 11, 21, 8, 14, 3, 120_000, tzinfo=UTC),
        messages=({"role": "user", "content": "Where is my order?"},),
        system="Be brief.",
        task="tickets",
        model="gpt-4o",
        route="/v1/chat/completions",
        tags=("beta", "eu"),
        user="u1",
        model_version="gpt-4o-2024-08-06",
        response="On its way.",
    )


def test_a_spend_log_row_is_read_whole_with_its_json_as_texts() -> None:
    body = {"model": "gpt-4o", "messages": MESSAGES, "user": "u1", "metadata": {"task": "tickets"}}
    found = _read(
        {
            "request_id": "chatcmpl-1",
            "call_type": "acompletion",
            "startTime": "2026-11-21T08:14:03.120",
            "model": "gpt-4o-eu",
            "model_group": "gpt-4o",
            "end_user": "",
            "request_tags": '["beta"]',
            "metadata": '{"status": "success"}',
            "messages": "{}",
            "response": json.dumps(ANSWER),
            "proxy_server_request": json.dumps(body),
        }
    )
    assert isinstance(found, LoggedQuery)
    assert (found.request_id, found.user, found.task) == ("chatcmpl-1", "u1", "tickets")
    assert found.received_at == datetime(2026, 11, 21, 8, 14, 3, 120_000, tzinfo=UTC)
    assert [m["content"] for m in found.messages] == ["Where is my order?"]
    assert (found.tags, found.response) == (("beta",), "On its way.")


def test_a_failed_call_is_a_query_without_a_response() -> None:
    failed = _query(status="failure", response="Error: overloaded")
    assert (failed.response, failed.model_version) == (None, None)
    row = _query(status=None, metadata={"status": "failure"}, response={})
    assert (row.response, row.model_version) == (None, None)


@pytest.mark.parametrize("kind", ["aembedding", "image_generation", "atranscription", "text_completion", 3, []])
def test_calls_that_are_no_chat_have_no_messages(kind: Any) -> None:
    broken = _read(_payload(call_type=kind))
    assert isinstance(broken, BrokenLine) and broken.reason is Reason.NO_MESSAGES
    assert broken.user == "u1" and broken.received_at is not None


def test_the_responses_api_logs_its_input_as_messages() -> None:
    query = _query(
        call_type="aresponses",
        messages="Where is my order?",
        response={"model": "m", "output": [{"type": "message", "content": [{"type": "output_text", "text": "Here."}]}]},
    )
    assert query.messages == ({"role": "user", "content": "Where is my order?"},)
    assert query.response == "Here."


def test_a_text_that_litellm_took_out_is_no_query() -> None:
    broken = _read(_payload(messages=[{"role": "user", "content": "redacted-by-litellm"}]))
    assert isinstance(broken, BrokenLine) and broken.reason is Reason.NO_MESSAGES
    assert _query(response={"text": "redacted-by-litellm"}).response is None


@pytest.mark.parametrize(("time", "reason"), [(None, Reason.NO_TIME), ("soon", Reason.NO_TIME), ([], Reason.NO_TIME)])
def test_a_payload_without_a_time(time: Any, reason: Reason) -> None:
    broken = _read(_payload(startTime=time))
    assert isinstance(broken, BrokenLine) and broken.reason is reason


@pytest.mark.parametrize("record", [None, [], "text", 7, {}, {"messages": MESSAGES}])
def test_what_is_no_payload_has_the_wrong_shape(record: Any) -> None:
    broken = _read(record)
    assert isinstance(broken, BrokenLine) and broken.reason is Reason.WRONG_SHAPE
