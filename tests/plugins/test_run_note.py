"""A run's note: which turn, what is pinned, what was changed; a person's own note stays."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from tao_airflow.run_note import on_dag_run_running


def run(**changes: Any) -> Any:
    about = {"dag_id": "flywheel_tickets", "run_id": "r", "run_type": "backfill", "conf": {}, "note": None}
    start, end = datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)
    dates = {"logical_date": start, "data_interval_start": start, "data_interval_end": end, "run_after": end}
    return SimpleNamespace(**{**about, **dates, **changes})


def noted(**changes: Any) -> Any:
    begun = run(**changes)
    on_dag_run_running(begun, "started")
    return begun.note


def test_a_backfills_run_says_which_turn_and_what_is_pinned() -> None:
    note = noted()
    assert note.startswith("This run is turn 2026-11-21T00:00Z.")
    assert "Pinned: the queries of its interval. Not pinned: the champion" in note
    assert "The form changed nothing" in note


def test_a_run_by_hand_says_which_turn_was_picked_and_what_was_changed() -> None:
    note = noted(run_type="manual", conf={"turn": "2026-11-02", "method": "dpo", "dry_run": True})
    assert "turn 2026-11-02T00:00Z" in note and "Changed by the form: update.method=dpo, dry_run=true." in note


@pytest.mark.parametrize("others", [{"run_type": "scheduled"}, {"dag_id": "maintenance"}, {"note": "for the audit"}])
def test_other_runs_and_notes_of_a_person_stay_as_they_are(others: dict[str, Any]) -> None:
    assert noted(**others) == others.get("note")


def test_another_attempt_with_another_form_writes_its_own() -> None:
    assert "update.method=kto" in noted(note=noted(), conf={"method": "kto"})


def test_ours_that_a_person_has_added_to_stays() -> None:
    theirs = f"{noted()} Cleared: the logs were late."
    assert noted(note=theirs, dag_run_note=SimpleNamespace(content=theirs, user_id="ana")) == theirs


def test_a_run_without_a_turn_says_why() -> None:
    assert noted(conf={"turn": "2026-11-02"}).startswith("This run has no turn: a backfill's runs have a day each")
