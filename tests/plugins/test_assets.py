"""Assets of a flywheel: what the events of its tasks carry."""

from collections.abc import Callable
from typing import Any

import pytest
from tao_airflow.assets import Kind, outlet, outlets
from tao_airflow.stage_operator import StageOperator

Context = Callable[..., dict[str, Any]]
TURN = {"turn": "2026-11-21T00:00Z", "run_id": "scheduled__2026-11-22T00-00-00-00-00"}


@pytest.fixture
def ran(stand_in: Any, task_log: list[str], context: Context) -> Callable[..., Any]:
    """Runs a stage that reports ``changes``; returns the events of its outlets."""

    def run(stage: str, **changes: Any) -> Any:
        told = {"stage": stage, "rows_in": 3, "rows_out": 2, "metrics": {}} | changes
        stand_in.does(f"open(arguments[arguments.index('--report') + 1], 'w').write(json.dumps({told!r}))\nsys.exit(0)")
        given = context()
        task = StageOperator(task_id=stage, stage=stage, flywheel="tickets", outlets=outlets(stage, "tickets"))
        task.execute(given)
        return given["outlet_events"]

    return run


def only(events: Any, kind: Kind) -> Any:
    (event,) = events[outlet("tickets", kind)].asset_alias_events
    return event


def test_the_queries_event_carries_a_reference_and_no_rows(ran: Callable[..., Any]) -> None:
    event = only(ran("ingest", output_version=7), Kind.QUERIES)
    assert (event.dest_asset_key.name, event.dest_asset_key.uri) == ("tickets/queries", "tao://tickets/queries")
    assert event.extra == TURN | {"table": "queries", "version": 7, "rows": 2}


def test_the_reports_event_carries_the_decision(ran: Callable[..., Any]) -> None:
    event = only(ran("gate", metrics={"decision": "undecided", "reasons": ["too few items"]}), Kind.REPORT)
    assert event.extra == TURN | {"decision": "undecided"}


def test_the_model_has_an_event_where_its_champion_moved(ran: Callable[..., Any]) -> None:
    event = only(ran("register", metrics={"version": 4, "decision": "promote", "alias": "champion"}), Kind.MODEL)
    assert (event.dest_asset_key.name, event.dest_asset_key.uri) == ("tickets/model", "tao://tickets/model")
    assert event.extra == TURN | {"version": 4, "who": "gate"}


@pytest.mark.parametrize("decision", ["reject", "undecided", "promote"])
def test_a_version_that_is_not_the_champion_yet_has_none(ran: Callable[..., Any], decision: str) -> None:
    events = ran("register", metrics={"version": 4, "decision": decision, "alias": None, "pending": True})
    assert events[outlet("tickets", Kind.MODEL)].asset_alias_events == []


def test_other_stages_have_no_assets(ran: Callable[..., Any]) -> None:
    assert outlets("score", "tickets") == []
    assert len(ran("score")) == 0
