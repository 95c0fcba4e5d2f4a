"""Segments of a capture: read to their last whole line, with hashed users, and with what was said of them later."""

import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tao_ops import sources
from tao_ops.config import Format, PrivacyConfig, SourceConfig, load_flywheel
from tao_ops.intake import Intake
from tao_ops.privacy import keyed_hash
from tao_ops.sources.records import LOGGED, Batch, LoggedQuery, Window, record_batch
from tao_ops.tables import Reason

DAY = datetime(2026, 11, 21, tzinfo=UTC)
DIGEST = "0123456789abcdef0123456789abcdef"


def _line(identity: str, **changes: Any) -> str:
    told = {
        "kind": "exchange", "request_id": identity, "received_at": "2026-11-21T08:14:03.120000Z",
        "route": "/v1/chat/completions", "user_hash": DIGEST,
        "request": {"model": "m", "messages": [{"role": "user", "content": f"{identity} asks"}]},
        "response": {"model": "d1", "choices": [{"message": {"role": "assistant", "content": "yes"}}]},
    }  # fmt: skip
    return json.dumps({**told, **changes}, separators=(",", ":"))


def _said(identity: str, at: int, **what: Any) -> str:
    told = {"kind": "feedback", "request_id": identity, "received_at": f"2026-11-21T09:00:{at:02}.000000Z"}
    return json.dumps({**told, "feedback": None, "corrected": None, **what}, separators=(",", ":"))


def _segment(folder: Path, name: str, *lines: str, torn: str = "", age: timedelta = timedelta(0)) -> Path:
    path = folder / "2026-11-21" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines) + torn, encoding="utf-8")
    at = time.time() - age.total_seconds()
    os.utime(path, (at, at))
    return path


def _read(folder: Path) -> tuple[list[dict[str, Any]], list[tuple[Reason, str]]]:
    source = SourceConfig(format=Format.CAPTURED, path="x")
    window = Window(DAY, DAY + timedelta(days=1))
    found: list[Batch] = list(sources.read(source, f"{folder}/{{%Y-%m-%d}}/*.jsonl", window))
    rows = [row for batch in found for row in batch.queries.to_pylist()]
    return rows, [(line.reason, line.position) for batch in found for line in batch.broken]


def test_a_server_that_never_ran_has_no_rows_and_no_error(tmp_path: Path) -> None:
    assert _read(tmp_path / "captured") == ([], [])


def test_answers_are_queries_with_what_was_said_of_them_in_any_segment(tmp_path: Path) -> None:
    _segment(tmp_path, "a.jsonl", _said("r2", 1, feedback="down"), _line("r1"), _line("r2"))
    _segment(
        tmp_path,
        "b.jsonl",
        _said("r2", 3, corrected="no"),
        _said("r2", 2, feedback="up"),
        _said("r9", 1, feedback="up"),
    )
    rows, broken = _read(tmp_path)
    assert [(row["request_id"], row["feedback"], row["corrected"]) for row in rows] == [
        ("r1", None, None),
        ("r2", "up", "no"),
    ]
    assert broken == [] and (rows[0]["model_version"], rows[0]["response"]) == ("d1", "yes")


def test_a_text_completion_is_a_chat_of_one_message(tmp_path: Path) -> None:
    _segment(
        tmp_path,
        "a.jsonl",
        _line("r1", request={"prompt": "Say"}, response={"model": "d", "choices": [{"text": "so"}]}),
    )
    rows, _ = _read(tmp_path)
    assert rows[0]["messages"] == [{"role": "user", "content": "Say"}] and rows[0]["response"] == "so"


def test_an_open_segment_is_read_to_its_last_whole_line_and_a_torn_one_is_counted(tmp_path: Path) -> None:
    _segment(tmp_path, "open.jsonl", _line("r1"), torn=_line("r2")[:50])
    torn = _segment(tmp_path, "torn.jsonl", _line("r3"), torn=_line("r4")[:50], age=timedelta(hours=2))
    rows, broken = _read(tmp_path)
    assert [row["request_id"] for row in rows] == ["r1", "r3"]
    assert broken == [(Reason.TORN, f"{torn}:2")]


def test_a_broken_line_is_one_and_others_are_taken(tmp_path: Path) -> None:
    _segment(tmp_path, "a.jsonl", "{", _line("r1"), _line("r2", request={"messages": []}), '{"kind":"feedback",')
    rows, broken = _read(tmp_path)
    assert [row["request_id"] for row in rows] == ["r1"]
    assert [reason for reason, _ in broken] == [Reason.NOT_JSON, Reason.NO_MESSAGES, Reason.NOT_JSON]


def test_a_hashed_user_is_the_same_person_as_one_in_clear() -> None:
    """So an erasure by name finds what was captured."""
    intake = Intake(load_flywheel("tickets"), b"key")
    digest = keyed_hash(b"key", "user", "anna")
    logged = LoggedQuery("a:1", "r1", DAY, ({"role": "user", "content": "x"},), user="anna")
    captured = replace(logged, user=f"\0{digest}")
    queries = record_batch([logged, captured, replace(logged, user=None)])
    assert queries.schema == LOGGED
    tasks, turns = ["tickets"] * 3, ["t"] * 3
    import pyarrow as pa

    rows = intake.rows(queries, pa.array(tasks), pa.array(turns), "shop")
    assert rows.column("user_hash").to_pylist() == [digest, digest, None]
    assert intake.user_hash("anna") == intake.user_hash(f"\0{digest}") == digest
    assert len(intake.users) == 1


@pytest.mark.parametrize("text", ["anna@example.org and bert@example.org", "nothing"])
def test_a_captured_conversation_is_the_same_query_as_a_logged_one(text: str) -> None:
    from tao_ops.serve.capture.lines import Lines
    from tao_ops.serve.capture.setup import Setup
    from tao_ops.serve.exchange import Arm, Exchange

    intake = Intake(load_flywheel("tickets"), b"key")
    privacy = PrivacyConfig(names=False)
    body = {"messages": [{"role": "system", "content": "of boss@example.org"}, {"role": "user", "content": text}]}
    answer = {"choices": [{"message": {"role": "assistant", "content": "to bert@example.org"}}]}
    exchange = Exchange("r", DAY, "/", 200, body, answer, True, None, "tickets", Arm.CHAMPION, 1, "d", 1.0, 1.0, 1, 1)
    line = Lines(Setup("x", b"key", privacy={"tickets": privacy})).of_exchange(exchange)
    assert isinstance(line, dict)
    import pyarrow as pa

    said = [{"role": "user", "content": text}], [one for one in line["request"]["messages"] if one["role"] == "user"]
    answers = ["to bert@example.org", line["response"]["choices"][0]["message"]["content"]]
    queries = record_batch(
        LoggedQuery("a:1", "r", DAY, tuple(messages), response=response)
        for messages, response in zip(said, answers, strict=True)
    )
    rows = intake.rows(queries, pa.array(["tickets"] * 2), pa.array(["t"] * 2), "shop").to_pylist()
    assert rows[0] == rows[1]


@pytest.mark.parametrize("spaces", [9, 14, 30])
def test_a_line_that_is_too_long_takes_no_other_with_it(tmp_path: Path, spaces: int) -> None:
    long = _line("r2", pad=" " * (spaces << 20))
    path = _segment(tmp_path, "a.jsonl", _line("r1"), long, _line("r3"), _said("r3", 1, feedback="up"), _line("r4"))
    rows, broken = _read(tmp_path)
    assert [(row["request_id"], row["feedback"]) for row in rows] == [("r1", None), ("r3", "up"), ("r4", None)]
    assert broken == [(Reason.TOO_LONG, f"{path}:2")]
