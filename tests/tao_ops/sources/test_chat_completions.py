"""Chat-completion logs: every line is a query, or has a reason why it is none."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tao_ops.errors import DamagedLog, DataError
from tao_ops.privacy import redact
from tao_ops.sources.chat_completions import BrokenLine, LoggedQuery, parse, read
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
        user="u1",
        model_version="tickets@3",
        response="{}",
    )


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
def test_a_line_without_a_request_id_keeps_its_time(request_id: Any) -> None:
    broken = _parse(request_id=request_id)
    assert isinstance(broken, BrokenLine) and broken.reason is Reason.NO_REQUEST_ID
    assert broken.received_at == datetime(2026, 11, 21, 8, 14, 3, 120_000, tzinfo=UTC)


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
        _messages(("user", [{"type": "text", "text": "hi"}])),
        _messages((3, "hi")),  # type: ignore[arg-type]
    ],
)
def test_a_line_without_a_users_text(request_body: Any) -> None:
    broken = _parse(request=request_body)
    assert isinstance(broken, BrokenLine) and broken.reason is Reason.NO_MESSAGES and broken.received_at is not None


def test_half_a_character_is_no_text_and_a_whole_one_is() -> None:
    half = _parse(request=_messages(("user", "broken \ud83d here")))
    assert isinstance(half, BrokenLine) and half.reason is Reason.NOT_TEXT
    whole = _parse(request=_messages(("user", "whole \U0001f600 here")))
    assert isinstance(whole, LoggedQuery) and whole.messages[0]["content"] == "whole \U0001f600 here"


def test_files_are_read_plain_or_zipped_and_blank_lines_passed_over(tmp_path: Path) -> None:
    content = (json.dumps(_record()) + "\n\n  \nnot json\n").encode()
    plain, zipped = tmp_path / "a.jsonl", tmp_path / "a.jsonl.gz"
    plain.write_bytes(content)
    zipped.write_bytes(gzip.compress(content))
    for path in (plain, zipped):
        query, broken = read(path)
        assert isinstance(query, LoggedQuery) and query.position == f"{path}:1"
        assert isinstance(broken, BrokenLine) and broken.position == f"{path}:4"


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    assert list(read(tmp_path / "a.jsonl")) == []


@pytest.mark.parametrize("damage", [b"no gzip at all", gzip.compress(b"x\n" * 1000)[:20], gzip.compress(b"x")[:-4]])
def test_a_damaged_gzip_is_named(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "2026-11-21.jsonl.gz"
    path.write_bytes(damage)
    with pytest.raises(DamagedLog, match=r"damaged gzip .*2026-11-21\.jsonl\.gz.* let its writer finish") as caught:
        list(read(path))
    assert caught.value.retryable  # it may still be written


def test_the_text_of_a_broken_line_hides_no_address_in_its_escapes() -> None:
    said = "Hi,\\n650-253-0000, +49\\u00a030\\u00a0901820 or anna\\u0040example.org"
    line = f'{{"request_id": "r", "request": {{"messages": [{{"role": "user", "content": "{said}"}}]}}}}'
    broken = parse(line.encode(), "file:1")
    assert isinstance(broken, BrokenLine)
    kept = redact(broken.text)
    assert "<EMAIL_1>" in kept and "<PHONE_1>" in kept and "<PHONE_2>" in kept, kept


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read: No such file .*gone\.jsonl"):
        list(read(tmp_path / "gone.jsonl"))
