"""OTLP spans of calls of a model become queries, in each of the conventions that are in use."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tao_ops.config import SourceConfig
from tao_ops.sources.otel import reader
from tao_ops.sources.records import BrokenLine, LoggedQuery
from tao_ops.tables import Reason

AT = datetime(2026, 11, 21, 8, 14, 3, 120_000, tzinfo=UTC)
NANOS = str(int(AT.timestamp()) * 1_000_000_000 + 120_000_000)
ASKED = [{"role": "user", "parts": [{"type": "text", "content": "Where is my order?"}]}]
SYSTEM = [{"type": "text", "content": "Be brief."}]
SAID = [{"role": "assistant", "parts": [{"type": "text", "content": "On its way."}], "finish_reason": "stop"}]
CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.id": "chatcmpl-1",
}


def _value(value: Any) -> dict[str, Any]:
    """A value as OTLP JSON writes it."""
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case str():
            return {"stringValue": value}
        case list():
            return {"arrayValue": {"values": [_value(one) for one in value]}}
        case _:
            return {"kvlistValue": {"values": _pairs(value)}}


def _pairs(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _span(
    attributes: dict[str, Any], events: tuple[tuple[str, dict[str, Any]], ...] = (), **more: Any
) -> dict[str, Any]:
    return {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174",
        "name": "chat gpt-4o",
        "startTimeUnixNano": NANOS,
        "attributes": _pairs(attributes),
        "events": [{"name": name, "attributes": _pairs(values)} for name, values in events],
        **more,
    }


def _read(*spans: dict[str, Any]) -> list[LoggedQuery | BrokenLine]:
    resource = {"attributes": _pairs({"service.name": "shop"})}
    record = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {}, "spans": list(spans)}]}]}
    return list(reader(SourceConfig(path="x"))(record, "log:1"))


def _query(*spans: dict[str, Any]) -> LoggedQuery:
    (found,) = _read(*spans)
    assert isinstance(found, LoggedQuery), found
    return found


EXPECTED = LoggedQuery(
    position="log:1#0",
    request_id="chatcmpl-1",
    received_at=AT,
    messages=({"role": "user", "content": "Where is my order?"},),
    system="Be brief.",
    model="gpt-4o",
    tags=("shop",),
    model_version="gpt-4o-2024-08-06",
    response="On its way.",
)
TODAY = {"gen_ai.system_instructions": SYSTEM, "gen_ai.input.messages": ASKED, "gen_ai.output.messages": SAID}


def test_structured_attributes_are_read_whole() -> None:
    assert _query(_span(CHAT | TODAY)) == EXPECTED


def test_attributes_as_json_text_are_the_same() -> None:
    assert _query(_span(CHAT | {key: json.dumps(value) for key, value in TODAY.items()})) == EXPECTED


def test_the_event_that_carries_all_details_is_the_same() -> None:
    assert _query(_span(CHAT, (("gen_ai.client.inference.operation.details", TODAY),))) == EXPECTED


def test_openllmetrys_numbered_attributes_are_the_same_whatever_their_order() -> None:
    numbered = {
        "gen_ai.prompt.1.role": "user",
        "gen_ai.prompt.1.content": "Where is my order?",
        "gen_ai.prompt.0.role": "system",
        "gen_ai.prompt.0.content": "Be brief.",
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": "On its way.",
    }
    without_operation = {key: value for key, value in CHAT.items() if key != "gen_ai.operation.name"}
    assert _query(_span(without_operation | {"llm.request.type": "chat"} | numbered)) == EXPECTED
    assert _query(_span(without_operation | numbered)) == EXPECTED


def test_an_eleventh_message_comes_after_the_second() -> None:
    numbered = {}
    for number in range(11):
        numbered[f"gen_ai.prompt.{number}.role"] = "assistant" if number % 2 else "user"
        numbered[f"gen_ai.prompt.{number}.content"] = f"m{number}"
    query = _query(_span(CHAT | numbered))
    assert [message["content"] for message in query.messages] == [f"m{number}" for number in range(11)]


@pytest.mark.parametrize("as_json", [False, True])
def test_events_of_one_message_each_are_the_same(as_json: bool) -> None:
    def event(name: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return name, {"gen_ai.event.content": json.dumps(body)} if as_json else body

    events = (
        event("gen_ai.system.message", {"content": "Be brief."}),
        event("gen_ai.user.message", {"content": "Where is my order?"}),
        event("gen_ai.choice", {"index": 0, "message": {"content": "On its way."}}),
    )
    assert _query(_span(CHAT, events)) == EXPECTED


def test_spans_as_the_sdk_encodes_them_are_read() -> None:
    from google.protobuf.json_format import MessageToDict
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("shop")
    asked = CHAT | {"gen_ai.input.messages": json.dumps(ASKED)}
    event = {"gen_ai.event.content": json.dumps({"message": {"content": "Here."}})}
    around = tracer.start_as_current_span("POST /chat", attributes={"http.route": "/chat"})
    with around, tracer.start_as_current_span("chat", attributes=asked) as span:
        span.add_event("gen_ai.choice", event)
    record = MessageToDict(encode_spans(kept.get_finished_spans()))
    (query,) = reader(SourceConfig(path="x"))(record, "log:1")
    assert isinstance(query, LoggedQuery)
    assert (query.route, query.model, query.response) == ("/chat", "gpt-4o", "Here.")
    assert abs((datetime.now(UTC) - query.received_at).total_seconds()) < 600


def test_route_and_user_may_stand_on_a_span_around_it() -> None:
    server = _span({"http.route": "/chat", "enduser.id": "u1"}, spanId="a1")
    agent = _span({"gen_ai.operation.name": "invoke_agent"} | TODAY, spanId="a2", parentSpanId="a1")
    query = _query(server, agent, _span(CHAT | TODAY, parentSpanId="a2"))
    assert (query.route, query.user, query.position) == ("/chat", "u1", "log:1#2")


def test_spans_that_are_each_others_parent_are_no_endless_loop() -> None:
    first = _span(CHAT | TODAY, spanId="a1", parentSpanId="a2")
    found = _read(first, _span(CHAT | TODAY, spanId="a2", parentSpanId="a1"))
    assert len(found) == 2


@pytest.mark.parametrize(
    "attributes", [{}, {"http.route": "/chat"}, {"gen_ai.operation.name": "embeddings"}, {"gen_ai.tool.name": "search"}]
)
def test_other_spans_of_a_trace_are_passed_over(attributes: dict[str, Any]) -> None:
    assert _read(_span(attributes)) == []


def test_without_a_response_id_the_span_names_the_query() -> None:
    query = _query(_span({"gen_ai.operation.name": "chat"} | TODAY))
    assert query.request_id == "5b8efff798038103d269b633813fc60c:eee19b7ec3c1b174"


def test_content_that_was_not_captured_is_told() -> None:
    (broken,) = _read(_span(CHAT | {"user.id": "u1"}))
    assert isinstance(broken, BrokenLine)
    assert (broken.reason, broken.received_at, broken.user) == (Reason.NO_MESSAGES, AT, "u1")


def test_parts_that_are_no_text_are_refused_or_left_out_and_reasoning_is_no_part() -> None:
    parts = [{"type": "text", "content": "Which one?"}, {"type": "blob", "mime_type": "image/png", "content": "aGk="}]
    thought = {
        "role": "assistant",
        "parts": [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "A."}],
    }
    user = {"role": "user", "parts": [{"type": "text", "content": "Go on."}]}
    (broken,) = _read(_span(CHAT | {"gen_ai.input.messages": [{"role": "user", "parts": parts}]}))
    assert isinstance(broken, BrokenLine) and broken.reason is Reason.NON_TEXT_CONTENT
    said = _query(_span(CHAT | {"gen_ai.input.messages": [*ASKED, thought, user]}))
    assert [message["content"] for message in said.messages] == ["Where is my order?", "A.", "Go on."]


def test_a_span_without_a_time_has_none() -> None:
    (broken,) = _read(_span(CHAT | TODAY, startTimeUnixNano=None))
    assert isinstance(broken, BrokenLine) and broken.reason is Reason.NO_TIME


@pytest.mark.parametrize("record", [None, [], 7, {}, {"resourceLogs": []}, {"resourceSpans": {}}])
def test_what_is_no_batch_of_spans_has_the_wrong_shape(record: Any) -> None:
    (broken,) = reader(SourceConfig(path="x"))(record, "log:1")
    assert isinstance(broken, BrokenLine) and broken.reason is Reason.WRONG_SHAPE
