"""Feedback finds the request that it is about, and what finds none is counted."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tao_ops.sources.feedback_join import FeedbackJoin
from tao_ops.sources.records import LoggedQuery


def _query(request_id: str | None, text: str = "Hello", response: str | None = None) -> LoggedQuery:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    return LoggedQuery("a:1", request_id, at, ({"role": "user", "content": text},), response=response)


def _line(request_id: Any, second: int = 0, **said: Any) -> dict[str, Any]:
    at = f"2026-11-22T00:00:{second:02}Z"
    return {
        "kind": "feedback",
        "request_id": request_id,
        "received_at": at,
        "feedback": None,
        "corrected": None,
        **said,
    }


def _joined(query: LoggedQuery, *lines: Any) -> tuple[str | None, str | None, list[str]]:
    with FeedbackJoin() as join:
        for line in lines:
            join.add(line)
        found = join.of(query)
        return found.feedback, found.corrected, join.sentences()


def test_the_last_rating_and_the_last_correction_count_in_whatever_order_they_are_read() -> None:
    lines = [
        _line("r", 3, corrected="new"),
        _line("r", 1, feedback="up", corrected="old"),
        _line("r", 2, feedback="down"),
        _line("other", 9, feedback="up"),
    ]
    for order in (lines, lines[::-1]):
        assert _joined(_query("r"), *order)[:2] == ("down", "new")


def test_a_request_without_feedback_stays_as_it_was() -> None:
    assert _joined(_query("r"), _line("other", feedback="up"))[:2] == (None, None)
    assert _joined(_query(None), _line("other", feedback="up"))[:2] == (None, None)


def test_feedback_on_a_request_that_is_not_there_is_said() -> None:
    *_, said = _joined(
        _query("r"), _line("r", feedback="up"), _line("gone", feedback="up"), _line("gone", 1, corrected="x")
    )
    (sentence,) = said
    assert sentence.startswith("feedback: 1 answers") and "when it runs again" in sentence


@pytest.mark.parametrize(
    "line",
    [None, [], {}, _line(7, feedback="up"), _line("r"), _line("r", feedback="meh"), {**_line("r"), "received_at": "x"}],
)
def test_a_line_that_is_no_feedback_is_counted(line: Any) -> None:
    assert _joined(_query("r"), line) == (None, None, ["feedback: 1 lines are none"])


@pytest.mark.parametrize(
    ("asked", "response", "corrected", "kept"),
    [
        ("I am <EMAIL_1>", "To <EMAIL_1>", "To <EMAIL_1>, then", True),
        ("I am <EMAIL_1>", None, "no address", True),
        ("I am <EMAIL_1>, not <EMAIL_2>", None, "To <EMAIL_1>", False),
        ("I am <EMAIL_1>", "To <EMAIL_2>", "To <EMAIL_1>", False),
        ("I am <EMAIL_1>", None, "To <EMAIL_1> or <EMAIL_2>", False),
        ("I am <EMAIL_1>, not <EMAIL_2>", None, "Call <PHONE_1>", True),
    ],
)
def test_a_correction_whose_placeholders_are_unclear_is_left_out_and_its_rating_stays(
    asked: str, response: str | None, corrected: str, kept: bool
) -> None:
    verdict, found, said = _joined(_query("r", asked, response), _line("r", feedback="down", corrected=corrected))
    assert (verdict, found) == ("down", corrected if kept else None)
    assert bool(said) is not kept
