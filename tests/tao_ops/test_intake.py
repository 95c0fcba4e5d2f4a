"""Logged queries become rows: each of its task, without anything personal, whose users are hashes."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from tao_ops import intake
from tao_ops.config import Flywheel
from tao_ops.intake import COLUMNS, Intake, too_long
from tao_ops.privacy import keyed_hash
from tao_ops.sources.records import LoggedQuery, record_batch
from tao_ops.tables import QUERIES

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
KEY = b"key"
TURN = "2026-11-21T00:00Z"


def _task(**privacy: Any) -> dict[str, Any]:
    return {
        "prompt": "p.txt",
        "expectations": "e.json",
        "strategies": [{"name": "plain", "samples": 1}],
        "scorers": [{"name": "consensus"}],
        "benchmarks": [],
        "privacy": privacy,
    }


def _intake(**tasks: dict[str, Any]) -> Intake:
    made = tasks or {"tickets": _task()}
    for number, (name, task) in enumerate(made.items()):
        task["benchmarks"] = [{"name": name, "path": "b", "primary": number == 0}]
    config = {"name": "shop", "sources": [{"path": "x"}], "tasks": made, "evaluate": {"control": None}}
    return Intake(Flywheel.model_validate(config), KEY)


def _query(text: str, **fields: Any) -> LoggedQuery:
    before = fields.pop("before", ())
    return LoggedQuery("a:1", fields.pop("request_id", "r"), AT, (*before, {"role": "user", "content": text}), **fields)


def _batch(made: Intake, queries: pa.RecordBatch, *tasks: str) -> pa.RecordBatch:
    each = pa.array(tasks or ["tickets"] * len(queries))
    return made.rows(queries, each, pa.array([TURN] * len(queries)), "web")


def _rows(made: Intake, *queries: LoggedQuery, tasks: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = _batch(made, record_batch(queries), *tasks).to_pylist()
    return rows


def test_a_row_has_the_columns_of_queries_but_for_those_that_all_share() -> None:
    rows = _batch(_intake(), record_batch([_query("hello", user="u", model_version="m@1", response="Hi!")]))
    assert rows.schema.names == COLUMNS
    assert [field.type for field in rows.schema] == [QUERIES.schema.field(name).type for name in COLUMNS]
    (row,) = rows.to_pylist()
    assert row.pop("redactor_version")
    assert row == {
        "query_id": keyed_hash(KEY, "query", "tickets", "user\x1dhello"),
        "request_id": "r",
        "source": "web",
        "event_turn": TURN,
        "task": "tickets",
        "received_at": AT,
        "messages": [{"role": "user", "content": "hello"}],
        "model_version": "m@1",
        "response": "Hi!",
        "feedback": None,
        "corrected": None,
        "user_hash": keyed_hash(KEY, "user", "u"),
    }


def test_no_queries_are_no_rows_of_the_same_columns() -> None:
    assert _batch(_intake(), record_batch([])).schema.names == COLUMNS
    unknown = _batch(_intake(), record_batch([_query("hello")]), "poems")
    assert len(unknown) == 0 and unknown.schema.names == COLUMNS


def test_what_was_said_makes_the_identity_and_nothing_else_does() -> None:
    same = [
        _query("Zo\u00eb here", request_id="1"),
        _query("Zoe\u0308 here", request_id="2", user="u", system="Be brief.", response="Yes"),
    ]
    before = ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"})
    other = [_query("Zoe here"), _query("Zo\u00eb here", before=before)]
    ids = [row["query_id"] for row in _rows(_intake(), *same, *other)]
    assert ids[0] == ids[1] and len(set(ids)) == 3
    (row,) = _rows(_intake(), same[1])
    assert row["messages"][0]["content"] == "Zo\u00eb here", (
        "characters are composed, as models and benchmarks have them"
    )
    tasks = _rows(_intake(a=_task(), b=_task()), same[0], same[0], tasks=("a", "b"))
    assert tasks[0]["query_id"] != tasks[1]["query_id"], "the same words in another task are another query"


def test_two_queries_with_the_same_address_in_it_are_one_after_redaction() -> None:
    rows = _rows(_intake(), _query("I am anna@example.org"), _query("I am bob@example.org"))
    assert {row["messages"][0]["content"] for row in rows} == {"I am <EMAIL_1>"}
    assert len({row["query_id"] for row in rows}) == 1


def test_the_same_value_has_the_same_placeholder_in_all_that_was_said() -> None:
    said = ({"role": "user", "content": "I am anna@example.org"}, {"role": "assistant", "content": "Whose bill?"})
    query = _query("bob@example.org and anna@example.org", before=said, response="To bob@example.org, then.")
    plain = _query("no one's", response="Fine.")
    made = _intake()
    row, other = _rows(made, query, plain)
    contents = [message["content"] for message in row["messages"]]
    assert contents == ["I am <EMAIL_1>", "Whose bill?", "<EMAIL_2> and <EMAIL_1>"]
    assert row["response"] == "To <EMAIL_2>, then."
    assert (other["messages"][0]["content"], other["response"]) == ("no one's", "Fine.")
    assert made.counts() == {"email": 4}


def test_a_response_is_redacted_where_the_question_is_clean() -> None:
    (row, none) = _rows(_intake(), _query("Who?", response="anna@example.org"), _query("Who?"))
    assert row["response"] == "<EMAIL_1>" and none["response"] is None


def test_a_corrected_answer_has_the_placeholders_of_its_conversation() -> None:
    said = "bob@example.org and anna@example.org"
    first, second, third = _rows(
        _intake(),
        _query(said, response="To bob@example.org.", corrected="To anna@example.org."),
        _query("Who?", corrected="anna@example.org"),
        _query("Who?", corrected="Zoe\u0308 did."),
    )
    assert first["messages"][0]["content"] == "<EMAIL_1> and <EMAIL_2>"
    assert (first["response"], first["corrected"]) == ("To <EMAIL_1>.", "To <EMAIL_2>.")
    assert (second["response"], second["corrected"]) == (None, "<EMAIL_1>")
    assert third["corrected"] == "Zo\u00eb did."


def test_a_corrected_answer_may_be_as_long_as_an_answer() -> None:
    short, long = "x" * intake.MAX_TEXT, "x" * (intake.MAX_TEXT + 1)
    assert too_long(record_batch([_query("a"), _query("b", corrected=short)])) is None
    found = too_long(record_batch([_query("a"), _query("b", corrected=long), _query("c", response=long)]))
    assert found is not None and found.to_pylist() == [False, True, True]


def test_each_task_allows_what_it_names_and_excerpts_allow_nothing() -> None:
    made = _intake(tickets=_task(allow=["help@shop.example.org"]), sql=_task())
    text = "Write to help@shop.example.org"
    rows = _rows(made, _query(text), _query(text), tasks=("tickets", "sql"))
    assert {row["task"]: row["messages"][0]["content"] for row in rows} == {
        "tickets": text,
        "sql": "Write to <EMAIL_1>",
    }
    assert made.excerpt(text, 100) == "Write to <EMAIL_1>"


def test_an_excerpt_is_redacted_before_it_is_cut() -> None:
    assert _intake().excerpt(f"{'x' * 90} anna@example.org", 100) == f"{'x' * 90} <EMAIL_1>"[:100]
    assert _intake().excerpt("short", 100) == "short"


def test_users_are_hashes_and_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "_USERS_KEPT", 2)
    made = _intake()
    names = ["u1", None, "u2", "u1", "u3", "u4", "u1", None]
    hashes = [row["user_hash"] for part in range(0, 8, 2) for row in _rows(
        made, *(_query("hello", user=name) for name in names[part : part + 2])
    )]  # fmt: skip
    assert hashes == [None if name is None else keyed_hash(KEY, "user", name) for name in names]
    assert len(made.users) == 4 and made.user_hash("u1") == hashes[0]


def test_a_part_of_a_batch_gives_the_rows_that_the_whole_gives() -> None:
    queries = record_batch(
        [
            _query(f"I am {name}@example.org", before=({"role": "assistant", "content": name},) * n, response=name)
            for n, name in enumerate(("anna", "bob", "cleo", "dora"))
        ]
    )
    whole = _batch(_intake(), queries).to_pylist()
    assert _batch(_intake(), queries.slice(1, 2)).to_pylist() == whole[1:3]
    assert _batch(_intake(), queries.filter(pa.array([False, True, False, True]))).to_pylist() == whole[1::2]
