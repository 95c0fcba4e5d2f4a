"""How the page writes what it shows."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tao_airflow.flywheel_page import formats

from tao_ops.views.records import Champion, Estimate, Release, TurnLine, TurnStatus


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (formats.number(1234567), "1,234,567"),
        (formats.number(0), "0"),
        (formats.number(None), "–"),
        (formats.share(0.4532), "45.3 %"),
        (formats.share(Estimate(0.4532, 0.41, 0.495)), "45.3 % [41.0, 49.5]"),
        (formats.share(Estimate(0.0)), "0.0 %"),
        (formats.share(None), "–"),
        (formats.difference(Estimate(-0.01, -0.03, 0.01)), "-1.0 [-3.0, +1.0]"),
        (formats.difference(None), "–"),
        (formats.error(Estimate(0.052, 0.03, 0.07)), "0.052 [0.030, 0.070]"),
        (formats.probability(0.0003), "< 0.001"),
        (formats.probability(0.21), "0.210"),
        (formats.probability(None), "–"),
        (formats.duration(3.25), "3.2 s"),
        (formats.duration(43.2), "43 s"),
        (formats.duration(59.9), "1 min"),
        (formats.duration(65 * 60), "1 h 5 min"),
        (formats.duration(0), "0.0 s"),
        (formats.duration(None), "–"),
        (formats.days(0.01), "less than an hour"),
        (formats.days(0.05), "1 hour"),
        (formats.days(1.9), "1 day"),
        (formats.days(12.1), "12 days"),
        (formats.turn_name("2026-11-21T00:00Z"), "2026-11-21"),
        (formats.turn_name("2026-11-21T22:00Z"), "2026-11-21 22:00"),
        (formats.turn_key("2026-11-21T22-00Z"), "2026-11-21T22:00Z"),
        (formats.turn_key("2026-11-21T22:00Z"), "2026-11-21T22:00Z"),
        (formats.turn_key("../x"), "../x"),
        (formats.moment(datetime(2026, 11, 21, 2, 31, 9, tzinfo=UTC)), "2026-11-21 02:31"),
        (formats.version_name(0), "the base model"),
        (formats.address("a/b:c?"), "a%2Fb%3Ac%3F"),
        (formats.excerpt("a\n b " + "c" * 200, 10), "a b ccccc…"),
        (formats.excerpt(None), ""),
    ],
)
def test_figures_are_written_as_people_read_them(written: str, expected: str) -> None:
    assert written == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"version": 0, "since": None}, "Champion is the base model: no candidate has been promoted yet."),
        ({"version": 7}, "Champion is version 7, for 3 days."),
    ],
)
def test_the_champion_in_a_sentence(changes: dict[str, Any], expected: str) -> None:
    told = {"model_version": None, "turn": None, "since": datetime.now(UTC), "by": "ada", "why": "", "age_days": 3.2}
    assert formats.champion_sentence(Champion(**{**told, **changes})) == expected
    assert "could not be asked" in formats.champion_sentence(None)


@pytest.mark.parametrize(
    ("decision", "approval", "expected"),
    [
        ("promote", None, "Version 6 passed the gate."),
        ("promote", "pending", "Version 6 passed the gate; a person decides whether it becomes the champion."),
        ("promote", "approved", "Version 6 passed the gate, and a person approved it."),
        ("promote", "canary", "Version 6 passed the gate; it answers a share of the users."),
        ("reject", None, "Version 6 did not pass the gate; the champion stays."),
        ("undecided", None, "The data cannot tell whether version 6 is better; the champion stays."),
        (None, None, "No verdict yet: 1 of 2 stages are recorded."),
    ],
)
def test_the_verdict_in_a_sentence(decision: str | None, approval: str | None, expected: str) -> None:
    from types import SimpleNamespace

    verdict = decision and SimpleNamespace(decision=decision, approval="auto")
    stages = (SimpleNamespace(status="done"), SimpleNamespace(status="not recorded"))
    told = {"verdict": verdict, "version": 6, "approval": approval, "stages": stages, "status": TurnStatus.PARTIAL}
    turn: Any = SimpleNamespace(**told)
    assert formats.verdict_sentence(turn) == expected


def test_a_turn_without_a_verdict_says_how_far_it_has_come() -> None:
    line = TurnLine("2026-11-21T00:00Z", None, TurnStatus.NOTHING_IN, 0, 8, None, None, None, None, None)
    assert formats.outcome(line) == "Nothing fit came in"


def test_what_became_of_a_version() -> None:
    told = (3, None, None, "promote", None)
    assert formats.fate(Release(*told, "approved", True, True, False)) == "is the champion, was approved"
    assert formats.fate(Release(*told, None, False, True, True)) == "was the champion, its weights were deleted"
    assert formats.fate(Release(*told, "pending", False, False, False)) == "waits for a person's answer"
    assert formats.fate(Release(*told, None, False, False, False)) == "–"
