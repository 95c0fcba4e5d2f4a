"""Whatever a log holds, its reader yields queries and reasons, and never raises."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tao_ops.config import SourceConfig
from tao_ops.sources import chat_completions, fields, langfuse, litellm, mlflow_traces, openai_batch, otel
from tao_ops.sources.json_lines import Parse
from tao_ops.sources.payloads import decoded
from tao_ops.sources.records import BrokenLine, LoggedQuery, record_batch
from tao_ops.tables import Reason

EPOCH = 1795248843
ISO = "2026-11-21T08:14:03Z"

few = settings(max_examples=100, deadline=None, derandomize=True)

texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=40)
questions = texts.filter(lambda text: bool(text.strip()))
messages = st.builds(
    lambda before, question, after: [*before, {"role": "user", "content": question}, *after],
    st.lists(
        st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": texts}), max_size=3
    ),
    questions,
    st.lists(st.fixed_dictionaries({"role": st.just("assistant"), "content": texts}), max_size=1),
)
strange = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.sampled_from([float("nan"), float("inf"), -0.0, 1e308, 10**400, "9" * 5000, "\ud83d", "nul \0", "", "[" * 2000]),
    st.text(max_size=8),
)
values = st.recursive(
    strange,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)),
    max_leaves=8,
)


def nest(levels: int) -> Any:
    """Deep, but small: each level holds the next one once."""
    nested: Any = "end"
    for level in range(levels):
        nested = [nested] if level % 2 else {"messages": nested}
    return nested


@dataclass(frozen=True)
class Case:
    """A format: how a valid record of it is made of messages and an answer, and its reader."""

    record: Callable[[Any, str], dict[str, Any]]
    reader: Callable[[SourceConfig], Parse]

    def parse(self) -> Parse:
        return self.reader(SourceConfig(path="x"))


def _body(said: Any) -> dict[str, Any]:
    return {"model": "m", "user": "u1", "messages": said, "metadata": {"task": "tickets"}}


def _answer(text: str) -> dict[str, Any]:
    return {"model": "m-1", "created": EPOCH, "choices": [{"message": {"role": "assistant", "content": text}}]}


def _chat_completions(said: Any, text: str) -> dict[str, Any]:
    return {"request_id": "r1", "received_at": ISO, "request": _body(said), "response": _answer(text), "tags": ["a"]}


def _litellm(said: Any, text: str) -> dict[str, Any]:
    more = {"metadata": {"requester_metadata": {"task": "t"}}, "request_tags": ["a"], "call_type": "acompletion"}
    return {
        "id": "r1",
        "startTime": float(EPOCH),
        "messages": said,
        "response": _answer(text),
        "end_user": "u1",
        **more,
    }


def _generation(said: Any, text: str) -> dict[str, Any]:
    output = {"role": "assistant", "content": text}
    return {"id": "o1", "type": "GENERATION", "startTime": ISO, "input": said, "output": output, "tags": ["a"]}


def _langfuse_trace(said: Any, text: str) -> dict[str, Any]:
    return {"id": "t1", "timestamp": ISO, "userId": "u1", "observations": [_generation(json.dumps(said), text)]}


def _spans(attributes: list[Any]) -> dict[str, Any]:
    span = {"traceId": "t1", "spanId": "s1", "startTimeUnixNano": f"{EPOCH}000000000", "attributes": attributes}
    return {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"spans": [span]}]}]}


def _otel(said: Any, text: str) -> dict[str, Any]:
    parts = [{"role": m["role"], "parts": [{"type": "text", "content": m["content"]}]} for m in said]
    output = [{"role": "assistant", "parts": [{"type": "text", "content": text}]}]
    held = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": json.dumps(parts)}
    held |= {"gen_ai.output.messages": json.dumps(output), "user.id": "u1"}
    return _spans([{"key": key, "value": {"stringValue": value}} for key, value in held.items()])


def _openllmetry(said: Any, text: str) -> dict[str, Any]:
    held = {"llm.request.type": "chat", "gen_ai.completion.0.content": text}
    for number, message in enumerate(said):
        held |= {f"gen_ai.prompt.{number}.role": message["role"], f"gen_ai.prompt.{number}.content": message["content"]}
    return _spans([{"key": key, "value": {"stringValue": value}} for key, value in held.items()])


def _mlflow(said: Any, text: str) -> dict[str, Any]:
    held = {"mlflow.spanType": "CHAT_MODEL", "mlflow.spanInputs": _body(said), "mlflow.spanOutputs": _answer(text)}
    attributes = {key: json.dumps(value) for key, value in held.items()}
    span = {"span_id": "s1", "parent_span_id": None, "start_time_unix_nano": EPOCH * 10**9, "attributes": attributes}
    info = {"trace_id": "tr-1", "request_time": ISO, "trace_metadata": {"mlflow.trace.user": "u1"}, "tags": {"a": "b"}}
    return {"info": info, "data": {"spans": [span]}}


CASES = {
    "chat_completions": Case(_chat_completions, chat_completions.reader),
    "litellm": Case(_litellm, litellm.reader),
    "langfuse": Case(_generation, langfuse.reader),
    "langfuse_trace": Case(_langfuse_trace, langfuse.reader),
    "otel": Case(_otel, otel.reader),
    "openllmetry": Case(_openllmetry, otel.reader),
    "mlflow": Case(_mlflow, mlflow_traces.reader),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def check(found: list[LoggedQuery | BrokenLine]) -> list[LoggedQuery]:
    """What holds of anything that a reader yields; returns the queries."""
    for one in found:
        if isinstance(one, BrokenLine):
            assert isinstance(one.reason, Reason) and isinstance(one.text, str)
            assert one.received_at is None or _is_utc(one.received_at)
            continue
        assert _is_utc(one.received_at)
        assert one.messages and one.messages[-1]["role"] == "user" and one.messages[-1]["content"].strip()
        assert all(fields.is_text(text) for message in one.messages for text in message.values())
        said = (one.request_id, one.system, one.task, one.model, one.route, one.user, one.model_version, one.response)
        assert all(fields.is_text(text) for text in (*said, *one.tags) if text is not None)
    queries = [one for one in found if isinstance(one, LoggedQuery)]
    assert record_batch(queries).num_rows == len(queries)
    assert len({one.position for one in found}) == len(found)
    return queries


def _is_utc(time: datetime) -> bool:
    return isinstance(time, datetime) and time.tzinfo is UTC


def places(record: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path to each value of a record, of those that are JSON in a text too."""
    inner = decoded(record) if len(at) < 16 else None
    keys = inner.keys() if isinstance(inner, dict) else range(len(inner)) if isinstance(inner, list) else ()
    return [at] * bool(at) + [place for key in keys for place in places(inner[key], (*at, key))]


def changed(record: Any, place: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    """The record with one value changed in place, inside texts of JSON too."""
    inner = decoded(record)
    if len(place) == 1:
        change(inner, place[0])
    else:
        inner[place[0]] = changed(inner[place[0]], place[1:], change)
    return json.dumps(inner) if isinstance(record, str) else inner


@st.composite
def mutated(draw: st.DrawFn, record: Callable[[Any, str], dict[str, Any]]) -> Any:
    """A valid record of which up to three values are gone, or others."""
    found: Any = copy.deepcopy(record(draw(messages), draw(texts)))
    for _ in range(draw(st.integers(1, 3))):
        if not (known := places(found)):
            break
        value = draw(st.one_of(values, st.builds(nest, st.integers(50, 150))))

        def change(holder: Any, key: Any, value: Any = value, gone: bool = draw(st.booleans())) -> None:
            if gone:
                del holder[key]
            else:
                holder[key] = value

        found = changed(found, draw(st.sampled_from(known)), change)
    return found


@every_case
def test_any_json_is_a_query_or_has_a_reason(case: Case) -> None:
    parse = case.parse()

    @few
    @given(values)
    def holds(value: Any) -> None:
        check(list(parse(value, "log:1")))

    holds()


@every_case
def test_a_valid_record_is_its_query(case: Case) -> None:
    parse = case.parse()

    @few
    @given(messages, texts)
    def holds(said: Any, text: str) -> None:
        (query,) = check(list(parse(case.record(said, text), "log:1")))
        last = max(number for number, message in enumerate(said) if message["role"] == "user")
        until = [message for message in said[: last + 1] if message["role"] != "system"]
        assert list(query.messages) == until
        assert query.received_at == datetime.fromtimestamp(EPOCH, UTC)

    holds()


@every_case
def test_a_mutated_record_is_a_query_or_has_a_reason(case: Case) -> None:
    parse = case.parse()

    @few
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        check(list(parse(data.draw(mutated(case.record)), "log:1")))

    holds()


@every_case
def test_a_valid_record_among_strange_keys_is_still_its_query(case: Case) -> None:
    parse = case.parse()

    @few
    @given(st.dictionaries(st.text(max_size=6).map(lambda key: f"x-{key}"), values, max_size=3))
    def holds(more: dict[str, Any]) -> None:
        record = case.record([{"role": "user", "content": "Where is my order?"}], "On its way.")
        (query,) = check(list(parse({**record, **more}, "log:1")))
        assert query.messages[0]["content"] == "Where is my order?" and query.response == "On its way."

    holds()


def test_output_of_the_batch_api_and_its_inputs_may_hold_anything(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    output = {"id": "b1", "custom_id": "c1", "response": {"status_code": 200, "body": _answer("On its way.")}}

    def request(said: Any, text: str) -> dict[str, Any]:
        return {"custom_id": "c1", "method": "POST", "url": "/v1/chat/completions", "body": _body(said)}

    @few
    @given(mutated(request), mutated(lambda said, text: copy.deepcopy(output)))
    def holds(asked: Any, answered: Any) -> None:
        path.write_text(json.dumps(asked) + "\n", encoding="utf-8")
        parse = openai_batch.reader(SourceConfig(format="openai_batch", path="x", requests=str(path)))
        check([found for number, one in enumerate((answered, output)) for found in parse(one, f"out:{number}")])

    holds()


@every_case
def test_the_texts_of_a_hostile_record_reach_the_excerpt(case: Case) -> None:
    """A record that is refused says so in words that a person can read."""
    for hostile in ("\ud83d", "nul \0", "[" * 2000):
        for found in case.parse()(case.record([{"role": "user", "content": hostile}], hostile), "log:1"):
            assert found.messages if isinstance(found, LoggedQuery) else found.text
