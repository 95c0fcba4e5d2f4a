"""The fast way reads what the slow way reads, line for line."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tao_ops.config import SourceConfig
from tao_ops.sources import fast_chat_completions
from tao_ops.sources.chat_completions import reader
from tao_ops.sources.json_lines import Block, by_line
from tao_ops.sources.records import Batch

PARSE = reader(SourceConfig(path="x"))


def _line(n: int, **changes: Any) -> bytes:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"Where is parcel {n}?"}]
    record = {
        "request_id": f"r{n}",
        "received_at": "2026-11-21T08:14:03.120Z",
        "request": {"model": "m", "user": "u1", "messages": messages, "metadata": {"task": "tickets"}},
        "response": {"model": "m@3", "choices": [{"message": {"role": "assistant", "content": "On its way."}}]},
    }
    return json.dumps({**record, **changes}).encode()


def _both(data: bytes) -> tuple[Batch, Batch]:
    block = Block("log", 7, data)
    return fast_chat_completions.block_parser(PARSE)(block), by_line(block, PARSE)


def _assert_same(data: bytes) -> Batch:
    fast, slow = _both(data)
    assert fast.queries.to_pylist() == slow.queries.to_pylist()
    assert sorted(fast.broken, key=str) == sorted(slow.broken, key=str)
    return fast


def test_plain_lines_are_decoded_together() -> None:
    data = b"".join(_line(n) + b"\n" for n in range(300))
    assert fast_chat_completions._decode(Block("log", 7, data)) is not None
    batch = _assert_same(data)
    assert batch.queries.num_rows == 300
    assert batch.queries.column("position")[299].as_py() == "log:306"


MESSAGES = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": "yes?"},
    {"role": "user", "content": "x"},
]
ODD: list[bytes] = [
    b"",
    b"   ",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b'{"a": "\x00"}',
    b'{"request_id": "a", "request_id": "b"}',
    b"[" * 5000,
    b'{"a":' * 5000,
    _line(1) + _line(2),
    _line(1)[:100],
    _line(1) + b"\r",
    b"  " + _line(1) + b"  ",
    _line(1, received_at=None),
    _line(1, received_at=12),
    _line(1, received_at="2026-11-21T08:14:03"),
    _line(1, received_at="2026-11-21T08:14:03+02:00"),
    _line(1, received_at="2026-11-21 08:14:03.123456789Z"),
    _line(1, received_at="2026-11-31T08:14:03Z"),
    _line(1, received_at="2026-11-21T24:00:00Z"),
    _line(1, received_at="20261121T081403Z"),
    _line(1, request_id=None),
    _line(1, request_id=""),
    _line(1, request_id=12),
    _line(1, tags=["a", "b"], route="/v1"),
    _line(1, tags=["a", None, ""]),
    _line(1, tags="a"),
    _line(1, feedback="Thumbs_Up"),
    _line(1, feedback="meh"),
    _line(1, feedback=-1),
    _line(1, feedback=True),
    _line(1, feedback={"score": 1}),
    _line(1, corrected="so"),
    _line(1, corrected=""),
    _line(1, corrected=7),
    _line(1, corrected="a\0b"),
    _line(1, request=None),
    _line(1, request={}),
    _line(1, request={"messages": []}),
    _line(1, request={"messages": None}),
    _line(1, request={"messages": [None]}),
    _line(1, request={"messages": MESSAGES, "user": "", "safety_identifier": "s", "model": ""}),
    _line(
        1, request={"messages": [{"role": "system", "content": "a"}, {"role": "developer", "content": "b"}, *MESSAGES]}
    ),
    _line(1, request={"messages": [*MESSAGES, {"role": "assistant", "content": "cut off"}]}),
    _line(1, request={"messages": [{"role": "user", "content": " \u2003\n"}]}),
    _line(1, request={"messages": [{"role": "user", "content": "\x1c"}]}),
    _line(1, request={"messages": [{"role": "user", "content": "\x00"}]}),
    _line(1, request={"messages": [{"role": "user", "content": "\ud83d"}]}),
    _line(1, request={"messages": [{"role": "user", "content": "Grüße, 你好 😀"}]}),
    _line(1, request={"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}),
    _line(1, request={"messages": [{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}, MESSAGES[0]]}),
    _line(1, request={"messages": [{"role": "assistant", "content": "a", "tool_calls": [{"id": "c"}]}, MESSAGES[0]]}),
    _line(1, request={"messages": [{"role": "assistant", "content": "a", "tool_calls": []}, MESSAGES[0]]}),
    _line(
        1, request={"messages": [{"role": "assistant", "content": None, "function_call": {"name": "f"}}, MESSAGES[0]]}
    ),
    _line(1, request={"messages": [{"role": "anna@example.org", "content": "a"}, MESSAGES[0]]}),
    _line(1, request={"messages": [{"role": ["user"], "content": "a"}, MESSAGES[0]]}),
    _line(1, response=None),
    _line(1, response={"model": "", "choices": []}),
    _line(1, response={"choices": [{"message": {"content": None}}]}),
    _line(1, response={"choices": [{"message": {"content": ""}}, {"message": {"content": "second"}}]}),
    _line(1, response={"choices": "none"}),
    _line(1, response={"usage": {"cost": float("nan"), "x": float("inf")}}),
    _line(1, extra={"deep": [[[{"a": 10**30}]]]}),
]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_one_odd_line_among_plain_ones(odd: bytes) -> None:
    lines = [_line(n) for n in range(200)]
    lines[130] = odd
    _assert_same(b"".join(line + b"\n" for line in lines))


@given(st.lists(st.one_of(st.sampled_from(ODD), st.integers(0, 9).map(_line)), max_size=12))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_mix_of_odd_lines(lines: list[bytes]) -> None:
    _assert_same(b"".join(line + b"\n" for line in lines))


@given(st.binary(max_size=60), st.integers(0, 400), st.integers(0, 400))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_bytes_changed_anywhere(patch: bytes, at: int, length: int) -> None:
    good = b"".join(_line(n) + b"\n" for n in range(3))
    _assert_same(good[:at] + patch + good[at + length :] + b"\n")
