"""Feedback over HTTP: what is taken, and what is refused in the shape that OpenAI's clients read."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tao_ops import sources
from tao_ops.config import CaptureConfig, Format, SourceConfig
from tao_ops.serve import feedback
from tao_ops.serve.capture import Capture, Setup
from tao_ops.serve.feedback import Feedback
from tao_ops.serve.request_ids import RequestIds
from tao_ops.sources.records import Window

IDS = RequestIds(b"k")
BARE = IDS.new()
ANSWERED = IDS.signed(BARE)


class Kept:
    """Stands for the capture."""

    def __init__(self, taken: bool = True) -> None:
        self.said: list[tuple[str, str | None, str | None]] = []
        self.taken = taken

    def __call__(self, request_id: str, *, feedback: str | None, corrected: str | None) -> bool:
        self.said.append((request_id, feedback, corrected))
        return self.taken


def _post(app: Feedback, body: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def post() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
            return await client.post("/v1/feedback", content=content)

    return asyncio.run(post())


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"rating": "up"}, ("up", None)),
        ({"rating": "Thumbs_Down"}, ("down", None)),
        ({"rating": True}, ("up", None)),
        ({"rating": -1, "corrected": None, "user": "anna"}, ("down", None)),
        ({"corrected": '{"city": "Köln"}'}, (None, '{"city": "Köln"}')),
        ({"rating": "down", "corrected": "no"}, ("down", "no")),
    ],
)
@pytest.mark.parametrize(
    "written", [ANSWERED, f"chatcmpl-{ANSWERED}", f"cmpl-{ANSWERED}"], ids=["bare", "chat", "text"]
)
def test_a_rating_or_a_corrected_answer_is_kept(said: Any, kept: Any, written: str) -> None:
    capture = Kept()
    response = _post(Feedback(IDS, capture), {"request_id": written, **said})
    assert response.status_code == 202 and response.json() == {"request_id": ANSWERED, "accepted": True}
    assert capture.said == [(ANSWERED, *kept)]


def _refused(response: httpx.Response) -> tuple[int, str | None, str | None]:
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["message"]
    return response.status_code, error["code"], error["param"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"\xff\xfe", None),
        (b"[" * 100_000, None),
        (b"NaN", None),
        ([], None),
        ({"rating": "up"}, "request_id"),
        ({"request_id": 7, "rating": "up"}, "request_id"),
        ({"request_id": "x" * 513, "rating": "up"}, "request_id"),
        ({"request_id": ANSWERED}, "rating"),
        ({"request_id": ANSWERED, "rating": None, "corrected": None}, "rating"),
        ({"request_id": ANSWERED, "rating": "meh"}, "rating"),
        ({"request_id": ANSWERED, "rating": 10**400}, "rating"),
        ({"request_id": ANSWERED, "rating": {"score": 1}}, "rating"),
        ({"request_id": ANSWERED, "corrected": " \n"}, "corrected"),
        ({"request_id": ANSWERED, "corrected": ["a"]}, "corrected"),
        ({"request_id": ANSWERED, "corrected": "a\0b"}, "corrected"),
        (b'{"request_id": "r", "corrected": "\\ud800"}', "corrected"),
        ({"request_id": ANSWERED, "corrected": "ä" * (feedback.MOST_CORRECTED // 2 + 1)}, "corrected"),
        ({"request_id": ANSWERED, "rating": "up", "user": ""}, "user"),
        ({"request_id": ANSWERED, "rating": "up", "score": 1}, "score"),
        (b'{"request_id": "r", "rating": "up", "\\ud800": 1}', "?"),
    ],
)
def test_a_body_that_is_no_feedback_is_refused_and_nothing_kept(body: Any, param: str | None) -> None:
    capture = Kept()
    status, code, named = _refused(_post(Feedback(IDS, capture), body))
    assert (status, code, named) == (400, "invalid_feedback", param) and capture.said == []


@pytest.mark.parametrize(
    "unknown",
    [BARE, f"{BARE}-00000000", "req-1", f"x{ANSWERED}", RequestIds(b"o").signed(BARE)],
    ids=["unsigned", "wrong signature", "short", "another beginning", "another key"],
)
def test_an_id_that_was_never_answered_here_is_refused(unknown: str) -> None:
    capture = Kept()
    refused = _refused(_post(Feedback(IDS, capture), {"request_id": unknown, "rating": "up"}))
    assert refused == (404, "unknown_request_id", "request_id") and capture.said == []


def test_without_capture_it_says_so_and_while_its_buffer_is_full_too() -> None:
    body = {"request_id": ANSWERED, "rating": "up"}
    off = _post(Feedback(IDS, None), body)
    assert _refused(off)[:2] == (501, "capture_off") and "capture is off" in off.json()["error"]["message"]
    assert off.headers["x-should-retry"] == "false"
    full = _post(Feedback(IDS, Kept(taken=False)), body)
    assert _refused(full)[:2] == (503, "busy") and full.headers["retry-after"] == "5"


def test_a_body_without_end_is_cut_off() -> None:
    large = _post(Feedback(IDS, Kept()), b" " * (feedback.MOST_BODY + 1))
    assert _refused(large)[:2] == (413, "body_too_large")


def test_what_was_said_over_http_is_read_with_its_request(tmp_path: Path) -> None:
    async def model(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"content-type", b"application/json"), (b"x-request-id", ANSWERED.encode())]
        answer = {"id": f"chatcmpl-{ANSWERED}", "choices": [{"message": {"role": "assistant", "content": "In Oslo."}}]}
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    async def use(capture: Capture) -> tuple[int, int]:
        app = Feedback(IDS, capture.write_feedback)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(capture), base_url="http://t") as client:
            body = {
                "model": "m",
                "user": "anna",
                "messages": [{"role": "user", "content": "Where is anna@example.org?"}],
            }
            asked = await client.post("/v1/chat/completions", json=body)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
            said = {"request_id": asked.json()["id"], "rating": "down", "corrected": "Ask anna@example.org"}
            return asked.status_code, (await client.post("/v1/feedback", json=said)).status_code

    capture = Capture(model, Setup(str(tmp_path), b"key", CaptureConfig(), server="here"))
    try:
        assert asyncio.run(use(capture)) == (200, 202) and capture.flush(60.0)
    finally:
        capture.close(5.0)
    now = datetime.now(UTC)
    source = SourceConfig(format=Format.CAPTURED, path="x")
    window = Window(now - timedelta(days=1), now + timedelta(days=1))
    said: list[str] = []
    found = list(sources.read(source, f"{tmp_path}/*/*.jsonl", window, say=said.append))
    (row,) = [row for batch in found for row in batch.queries.to_pylist()]
    assert row["messages"][0]["content"] == "Where is <EMAIL_1>?"
    assert (row["request_id"], row["feedback"], row["corrected"]) == (ANSWERED, "down", "Ask <EMAIL_1>")
    assert said == []
    assert b"example.org" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*.jsonl"))
