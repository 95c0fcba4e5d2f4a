"""Around any application: what passes is untouched, what was answered is written, what was not is counted."""

import asyncio
import gzip
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tao_ops.privacy import keyed_hash
from tao_ops.serve.capture import Capture, observing
from tao_ops.serve.exchange import Exchange

Site = Any
ASKED = {"model": "tickets", "user": "anna", "messages": [{"role": "user", "content": "Where is my jacket?"}]}
STREAM = (b"content-type", b"text/event-stream")


def _chunk(content: str, **more: Any) -> bytes:
    told = {"id": "chatcmpl-1", "model": "m", "choices": [{"index": 0, "delta": {"content": content}}], **more}
    return f"data: {json.dumps(told)}\n\n".encode()


def test_an_answer_is_a_line_with_who_asked_what_answered_and_how_fast(site: Site) -> None:
    capture = site.capture()
    site.headers += [
        (b"x-request-id", b"req-1"),
        (b"x-tao-version", b"3"),
        (b"x-tao-model", b"d1"),
        (b"X-Tao-Task", b"t"),
    ]
    usage = {"usage": {"prompt_tokens": 7, "completion_tokens": 4}}
    site.pieces = [json.dumps({**json.loads(site.pieces[0]), **usage}).encode()]
    sent = site.ask(capture)
    assert b"".join(one.get("body", b"") for one in sent) == site.pieces[0]
    (line,) = site.lines(capture)
    assert 0.0 <= line.pop("first_seconds") <= line.pop("seconds") < 60.0
    assert line.pop("received_at").endswith("Z")
    assert line == {
        "kind": "exchange", "request_id": "req-1", "route": "/v1/chat/completions", "tags": [],
        "user_hash": keyed_hash(b"key", "user", "anna"), "version": 3, "arm": "champion", "prompt_tokens": 7,
        "tokens": 4, "redactor_version": "2",
        "request": {"model": "tickets", "metadata": {"task": "t"}, "messages": ASKED["messages"]},
        "response": {"model": "d1", "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "In Oslo."}}
        ]},
    }  # fmt: skip
    assert {"captured": 1, "synced": 1, "written": 1, "restarts": 0}.items() <= capture.counts().items()


def test_a_stream_passes_piece_by_piece_and_is_one_answer(site: Site) -> None:
    capture = site.capture()
    site.headers = [STREAM]
    site.pieces = [
        _chunk("In "),
        _chunk("Oslo.", usage={"prompt_tokens": 7, "completion_tokens": 2}),
        b"data: [DONE]\n\n",
    ]
    sent = site.ask(capture, {**ASKED, "stream": True})
    assert [one["body"] for one in sent[1:]] == site.pieces
    (line,) = site.lines(capture)
    assert line["response"]["choices"][0]["message"]["content"] == "In Oslo." and line["tokens"] == 2
    assert line["request_id"] == "chatcmpl-1" and line["request"]["stream"] is True


@pytest.mark.parametrize("cut", ["no end", "an error in it", "status 500", "the client went away"])
def test_what_was_not_answered_is_counted_and_not_written(site: Site, cut: str) -> None:
    capture = site.capture()
    site.headers = [STREAM]
    site.pieces = [
        _chunk("In "),
        b'data: {"error": {"message": "gone"}}\n\n' if cut == "an error in it" else _chunk("O"),
    ]
    if cut == "status 500":
        site.status, site.pieces = 500, [*site.pieces, b"data: [DONE]\n\n"]
    if cut == "the client went away":
        site.pieces = [*site.pieces, b"data: [DONE]\n\n"]
    site.ask(capture, disconnects=cut == "the client went away")
    assert site.lines(capture) == [] and capture.counts()["left.unanswered"] == 1


def test_a_client_that_leaves_with_a_streams_last_word_was_answered(site: Site) -> None:
    capture = site.capture()
    site.headers, site.pieces = [STREAM], [_chunk("Oslo"), b"data: [DONE]\n\n", b""]

    def cancelled() -> None:
        raise OSError("the client closed before the body's formal end")

    site.before = cancelled
    with pytest.raises(OSError, match="formal end"):
        site.ask(capture)
    (line,) = site.lines(capture)
    assert line["response"]["choices"][0]["message"]["content"] == "Oslo"


def test_an_application_that_breaks_breaks_as_before(site: Site) -> None:
    capture = site.capture()

    def broken() -> None:
        raise OSError("the engine is gone")

    site.before = broken
    with pytest.raises(OSError, match="the engine is gone"):
        site.ask(capture)
    assert site.lines(capture) == [] and capture.counts()["left.unanswered"] == 1


def test_a_request_may_opt_out_and_other_routes_are_nobodys_business(site: Site) -> None:
    capture = site.capture()
    site.ask(capture, headers=[(b"x-tao-capture", b"Off")])
    site.ask(capture, path="/v1/feedback")
    site.ask(capture, path="/v1/embeddings")
    assert site.lines(capture) == []
    assert capture.counts()["left.opted_out"] == 1 and capture.counts()["captured"] == 0


def test_a_record_that_is_too_long_passes_and_is_counted(site: Site) -> None:
    capture = site.capture(record_kib=1)
    site.pieces = [b"x" * 1000, b"y" * 1000]
    sent = site.ask(capture)
    assert [one["body"] for one in sent[1:]] == site.pieces
    assert site.lines(capture) == [] and capture.counts()["dropped.too_long"] == 1


def test_lines_that_are_flushed_by_the_interval_are_told_of_then(site: Site) -> None:
    capture = site.capture(sync="interval", interval="1s")
    for _ in range(3):
        site.ask(capture)
    assert len(site.lines(capture)) == 3 and capture.counts()["synced"] == 3


def test_compressed_bodies_are_read_and_others_are_counted(site: Site) -> None:
    capture = site.capture()
    plain = site.pieces[0]
    for encoding, data in (
        (b"gzip", gzip.compress(plain)),
        (b"rot13", plain),
        (b"gzip", b"no gzip"),
        (b"identity", b"[1]"),
    ):
        site.headers, site.pieces = [(b"content-encoding", encoding)], [data]
        site.ask(capture)
    assert [line["response"]["choices"][0]["message"]["content"] for line in site.lines(capture)] == ["In Oslo."]
    assert capture.counts()["left.unreadable"] == 3


def test_of_a_user_all_is_sampled_or_nothing(site: Site) -> None:
    capture = site.capture(sample=0.5)
    for number in range(40):
        site.ask(capture, {**ASKED, "user": f"user {number % 10}"})
    users = [line["user_hash"] for line in site.lines(capture)]
    assert 0 < len(users) < 40 and all(users.count(user) == 4 for user in users)
    assert capture.counts()["left.not_sampled"] == 40 - len(users)


def test_a_full_buffer_drops_the_newest_and_serves_on(site: Site, tmp_path: Path) -> None:
    stuck = tmp_path / "stuck"
    stuck.write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    stuck.chmod(0o755)
    capture = site.capture(python=str(stuck), buffer_mib=1)
    long = {**ASKED, "messages": [{"role": "user", "content": "x" * 200_000}]}
    answers = [site.ask(capture, long) for _ in range(10)]
    assert all(answer[-1]["body"] == site.pieces[0] for answer in answers)
    counts = capture.counts()
    assert counts["captured"] == 5 and counts["dropped.full"] == 5
    assert not capture.close(0.1)
    pid = capture._sender.writer_pid
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


def test_a_writer_that_is_killed_costs_no_record(site: Site) -> None:
    capture = site.capture()
    site.ask(capture, {**ASKED, "user": "before"})
    assert capture.flush(60.0)
    pid = capture._sender.writer_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    for number in range(20):
        site.ask(capture, {**ASKED, "user": f"meanwhile {number}"})
    time.sleep(0.1)  # into the pipe
    os.kill(pid, signal.SIGKILL)
    assert len({line["user_hash"] for line in site.lines(capture)}) == 21
    counts = capture.counts()
    assert counts["restarts"] == 1 and counts["dropped.lost"] == 0 and counts["synced"] == counts["captured"] == 21


def test_writers_that_die_with_a_record_lose_it_and_say_so(site: Site, tmp_path: Path) -> None:
    reads = tmp_path / "reads"
    reads.write_text("#!/bin/sh\nhead -c 2000 > /dev/null\nexit 1\n", encoding="utf-8")
    reads.chmod(0o755)
    capture = site.capture(python=str(reads))
    site.ask(capture, {**ASKED, "messages": [{"role": "user", "content": "x" * 4000}]})
    assert capture.flush(30.0)
    counts = capture.counts()
    assert counts["dropped.lost"] == 1 and counts["synced"] == 0 and counts["restarts"] >= 2


def test_the_end_of_the_server_writes_what_is_left(site: Site) -> None:
    capture = site.capture()
    told: list[str] = []
    served = capture.app

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await served(scope, receive, send)
            return
        for _ in range(2):
            await send({"type": (await receive())["type"] + ".complete"})

    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Any:
        if len(messages) == 1:
            await asyncio.to_thread(site.ask, capture)
            assert await asyncio.to_thread(capture.flush, 60.0)  # the writer has started: a busy machine takes long
            await asyncio.to_thread(site.ask, capture)
        return messages.pop(0)

    async def send(message: Any) -> None:
        told.append(message["type"])

    capture.app = app
    asyncio.run(capture({"type": "lifespan"}, receive, send))
    assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert len(site.kept()) == 2


def test_observers_see_each_exchange_and_one_that_fails_stops_nobody(site: Site) -> None:
    seen: list[Exchange] = []

    def fails(exchange: Exchange) -> None:
        raise ValueError(exchange.request_id)

    capture = site.capture(fails, seen.append)
    site.ask(capture, key="shop")
    site.status = 503
    site.ask(capture, {**ASKED, "user": ""}, headers=[(b"x-tao-capture", b"off")], key="shop")
    capture.close(30.0)
    assert [(one.status, one.answered, one.user) for one in seen] == [(200, True, "anna"), (503, False, "shop")]
    assert len(site.kept()) == 1 and capture.counts()["left.unobserved"] == 2


def test_observers_that_want_nothing_get_nothing(site: Site) -> None:
    seen: list[Exchange] = []
    wants = [False, True, False]
    capture = site.capture()
    observed = Capture(site.app, capture.setup, observers=[seen.append], wanted=lambda: wants.pop(0))
    site.captures.append(observed)
    for _ in range(3):
        site.ask(observed)
    observed.close(30.0)
    assert len(seen) == 1 and len(site.kept()) == 3


def test_an_exchange_that_trips_the_reader_ends_no_observing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Exchange] = []
    read, trips = observing.exchange_of, [True, False]

    def reads(*parts: Any) -> Exchange:
        if trips.pop(0):
            raise TypeError
        return read(*parts)

    monkeypatch.setattr(observing, "exchange_of", reads)
    capture = site.capture(seen.append)
    for _ in range(2):
        site.ask(capture)
    capture.close(30.0)
    assert len(seen) == 1 and capture.counts()["left.unobserved"] == 1


def test_what_waits_for_observers_is_bounded_in_bytes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Exchange] = []
    go_on = threading.Event()

    def slow(exchange: Exchange) -> None:
        assert go_on.wait(60)
        seen.append(exchange)

    monkeypatch.setattr(observing, "HELD", len(site.pieces[0]) + len(json.dumps(ASKED)) + 10)
    capture = site.capture(slow)
    for _ in range(3):
        site.ask(capture)
    go_on.set()
    capture.close(30.0)
    assert len(seen) == 1 and capture.counts()["left.unobserved"] == 2


def test_a_word_of_the_writers_that_is_none_costs_a_writer_and_no_record(site: Site, tmp_path: Path) -> None:
    """As a library might print one."""
    fake, once = tmp_path / "python", tmp_path / "once"
    real = f'exec "{sys.executable}" "$@"'
    fake.write_text(f'#!/bin/sh\nif [ ! -e "{once}" ]; then touch "{once}"; echo hello; fi\n{real}\n')
    fake.chmod(0o755)
    capture = site.capture(python=str(fake))
    capture.start()
    end = time.monotonic() + 60.0
    while capture.counts()["restarts"] == 0 and time.monotonic() < end:
        time.sleep(0.02)
    site.ask(capture)
    assert len(site.lines(capture)) == 1 and capture.counts()["restarts"] == 1


def test_feedback_goes_the_same_way(site: Site) -> None:
    capture = site.capture()
    assert capture.write_feedback("req-1", feedback="up", corrected="In Bergen.")
    (line,) = site.lines(capture)
    assert line.pop("received_at")
    assert line == {"kind": "feedback", "request_id": "req-1", "feedback": "up", "corrected": "In Bergen."}


def test_a_disk_that_refuses_is_tried_until_it_takes(site: Site) -> None:
    site.folder.parent.mkdir(exist_ok=True)
    site.folder.write_text("a file where the folder should be", encoding="utf-8")
    capture = site.capture()
    sent = site.ask(capture)
    assert sent[-1]["body"] == site.pieces[0] and not capture.flush(1.0)
    site.folder.unlink()
    assert len(site.lines(capture)) == 1 and capture.counts()["restarts"] == 0


def test_the_environment_says_where_to_write(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TAO_FLYWHEEL", "TAO_CAPTURE_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TAO_HASH_KEY", "k")
    with pytest.raises(Exception, match="TAO_CAPTURE_PATH"):
        Capture(site.app)
    monkeypatch.setenv("TAO_CAPTURE_PATH", str(tmp_path / "there"))
    assert Capture(site.app).setup.folder == str(tmp_path / "there")
    monkeypatch.setenv("TAO_FLYWHEEL", "tickets")
    setup = Capture(site.app).setup
    assert setup.folder == str(tmp_path / "there") and list(setup.privacy) == ["tickets"]
    monkeypatch.delenv("TAO_CAPTURE_PATH")
    monkeypatch.setenv("TAO_HOME", str(tmp_path))
    assert Capture(site.app).setup.folder == str(tmp_path / "captured" / "tickets")
