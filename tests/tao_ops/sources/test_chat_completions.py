"""Chat-completion logs: every line is a query, or has a reason why it is none."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tao_ops.config import PrivacyConfig, SourceConfig
from tao_ops.privacy import Redactor
from tao_ops.sources.chat_completions import reader
from tao_ops.sources.json_lines import decoded
from tao_ops.sources.records import BrokenLine, LoggedQuery
from tao_ops.tables import Reason

USER = {"role": "user", "content": "Anna here, my rain jacket is late."}


def _record(**changes: Any) -> dict[str, Any]:
    record: dict[str, Any] = {
        "request_id": "req-1",
        "received_at": "2026-11-21T08:14:03.120Z",
        "request": {"model": "m", "user": "u1", "messages": [USER], "metadata": {"task": "tickets"}},
        "response": {"model": "tickets@3", "choices": [{"message": {"role": "assistant", "content": "{}"}}]},
    }
    return {**record, **changes}


def parse(line: bytes, position: str, **source: Any) -> LoggedQuery | BrokenLine:
    (one,) = decoded(line, position, reader(SourceConfig(path="x", **source)))
    return one


def _parse(**changes: Any) -> LoggedQuery | BrokenLine:
    return parse(json.dumps(_record(**changes)).encode(), "log:1")


def _messages(*pairs: tuple[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in pairs]}


def test_a_whole_line_is_read_whole() -> None:
    assert _parse() == LoggedQuery(
        position="log:1",
        request_id="req-1",
        received_at=datetime(2026, 11, 21, 8, 14, 3, 120_000, tzinfo=UTC),
        messages=(USER,),  # type: ignore[arg-type]
        task="tickets",
        model="m",
        user="u1",
        model_version="tickets@3",
        response="{}",
    )


@pytest.mark.parametrize(
    ("said", "verdict"),
    [("up", "up"), ("Thumbs_Down", "down"), (1, "up"), (-1, "down"), (False, "down"), ("meh", None), ({}, None)],
)
def test_a_users_verdict_is_up_down_or_none(said: Any, verdict: str | None) -> None:
    query = _parse(feedback=said)
    assert isinstance(query, LoggedQuery) and query.feedback == verdict


@pytest.mark.parametrize(("said", "kept"), [("{}", "{}"), ("", None), (7, None), (None, None), ("a\0b", None)])
def test_a_corrected_answer_is_a_text_or_none(said: Any, kept: str | None) -> None:
    query = _parse(corrected=said)
    assert isinstance(query, LoggedQuery) and query.corrected == kept


def test_a_time_elsewhere_becomes_utc() -> None:
    query = _parse(received_at="2026-11-21T01:00:00+02:00")
    assert isinstance(query, LoggedQuery) and query.received_at == datetime(2026, 11, 20, 23, tzinfo=UTC)
    assert query.received_at.tzinfo is UTC


def test_what_may_be_missing_is_none() -> None:
    query = _parse(request={"messages": [USER]}, response=None)
    assert isinstance(query, LoggedQuery)
    assert (query.task, query.user, query.model_version, query.response) == (None, None, None, None)
    cut = _parse(response={"model": "m", "choices": []})
    assert isinstance(cut, LoggedQuery) and (cut.model_version, cut.response) == ("m", None)


def test_a_conversation_ends_with_the_last_user_message_and_has_no_system_prompt() -> None:
    pairs = [("system", "s"), ("developer", "d"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "x")]
    query = _parse(request=_messages(*pairs))
    assert isinstance(query, LoggedQuery)
    assert [message["content"] for message in query.messages] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"\xff\xfe{}", Reason.NOT_TEXT),
        (b'{"request_id": "cut', Reason.NOT_JSON),
        (b"[1]", Reason.NOT_JSON),
        (b"[" * 100_000, Reason.NOT_JSON),
        (b"null", Reason.NOT_JSON),
        (b"{}", Reason.NO_TIME),
    ],
)
def test_a_line_that_is_no_record_has_a_reason(line: bytes, reason: Reason) -> None:
    broken = parse(line, "log:7")
    assert isinstance(broken, BrokenLine) and (broken.reason, broken.position) == (reason, "log:7")
    assert broken.received_at is None


@pytest.mark.parametrize("time", [None, 12, "", "soon", "2026-11-21T08:14:03", "0001-01-01T00:00:00+02:00"])
def test_a_line_without_a_usable_time(time: Any) -> None:
    broken = _parse(received_at=time)
    assert isinstance(broken, BrokenLine) and broken.reason is Reason.NO_TIME


@pytest.mark.parametrize("request_id", [None, "", 12])
def test_a_line_without_a_request_id_is_a_query(request_id: Any) -> None:
    query = _parse(request_id=request_id)
    assert isinstance(query, LoggedQuery) and query.request_id is None


@pytest.mark.parametrize(
    "request_body",
    [
        None,
        [],
        {},
        {"messages": []},
        {"messages": ["hi"]},
        _messages(("system", "s")),
        _messages(("user", "  ")),
        _messages(("assistant", "hello")),
        _messages(("user", 12)),
        _messages((3, "hi")),  # type: ignore[arg-type]
    ],
)
def test_a_line_without_a_users_text(request_body: Any) -> None:
    broken = _parse(request=request_body)
    assert isinstance(broken, BrokenLine) and broken.reason is Reason.NO_MESSAGES and broken.received_at is not None


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0"}}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {}}]}


@pytest.mark.parametrize(
    ("messages", "left"),
    [
        ([{"role": "user", "content": [{"type": "text", "text": "What is this?"}, IMAGE]}], ["What is this?"]),
        ([USER, CALL, {"role": "tool", "content": "42"}, {"role": "user", "content": "and now?"}], 2),
    ],
)
def test_what_is_not_text_is_refused_or_left_out_as_the_source_says(messages: list[Any], left: Any) -> None:
    line = json.dumps(_record(request={"messages": messages})).encode()
    broken = parse(line, "log:1")
    assert isinstance(broken, BrokenLine) and broken.reason is Reason.NON_TEXT_CONTENT
    query = parse(line, "log:1", non_text="strip")
    assert isinstance(query, LoggedQuery)
    said = [message["content"] for message in query.messages]
    assert said == left if isinstance(left, list) else len(said) == left


def test_parts_that_are_text_are_one_text() -> None:
    query = _parse(request=_messages(("user", [{"type": "text", "text": "hi"}, {"type": "text", "text": "there"}])))
    assert isinstance(query, LoggedQuery) and query.messages[-1]["content"] == "hi\nthere"


def test_the_system_prompt_route_and_tags_are_kept_for_the_rules() -> None:
    query = _parse(request=_messages(("system", "Be brief."), ("user", "hi")), route="/v1/x", tags=["beta", 3, ""])
    assert isinstance(query, LoggedQuery)
    assert (query.system, query.route, query.tags) == ("Be brief.", "/v1/x", ("beta",))


def test_a_nul_in_a_message_is_no_text() -> None:
    broken = _parse(request=_messages(("user", "a\0b")))
    assert isinstance(broken, BrokenLine) and broken.reason is Reason.NOT_TEXT and "\0" not in broken.text


def test_half_a_character_is_no_text_and_a_whole_one_is() -> None:
    half = _parse(request=_messages(("user", "broken \ud83d here")))
    assert isinstance(half, BrokenLine) and half.reason is Reason.NOT_TEXT
    whole = _parse(request=_messages(("user", "whole \U0001f600 here")))
    assert isinstance(whole, LoggedQuery) and whole.messages[0]["content"] == "whole \U0001f600 here"


def test_the_text_of_a_broken_line_hides_no_address_in_its_escapes() -> None:
    said = "Hi,\\n650-253-0000, +49\\u00a030\\u00a0901820 or anna\\u0040example.org"
    line = f'{{"request_id": "r", "request": {{"messages": [{{"role": "user", "content": "{said}"}}]}}}}'
    broken = parse(line.encode(), "file:1")
    assert isinstance(broken, BrokenLine)
    kept = Redactor(PrivacyConfig()).redact(broken.text)
    assert "<EMAIL_1>" in kept and "<PHONE_1>" in kept and "<PHONE_2>" in kept, kept
