"""Which run is followed, and what is told of it."""

from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from tao_ops.config import load_flywheel
from tao_ops.local import follow as module
from tao_ops.local.client import AirflowError, LogLine
from tao_ops.local.follow import begin, follow
from tao_ops.local.view import TaskLine, View, table
from tao_ops.turn import Turn

TURN = Turn("tickets", datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC))
OF_STAGE = "airflow.task.operators.tao_airflow.stage_operator.StageOperator"


def run(
    run_id: str, state: str, *, start: str | None = "2026-11-21T00:00:00Z", turn: str | None = None
) -> dict[str, Any]:
    conf = {"turn": turn} if turn else {}
    times = {"start_date": "2026-11-22T00:00:01Z", "end_date": "2026-11-22T00:05:01Z"}
    return {"dag_run_id": run_id, "state": state, "data_interval_start": start, "conf": conf, **times}


def task(task_id: str, state: str | None, **changes: Any) -> dict[str, Any]:
    times = {"start_date": "2026-11-22T00:00:01Z", "end_date": "2026-11-22T00:00:31Z"}
    return {"task_id": task_id, "map_index": -1, "state": state, "try_number": 1, **times, **changes}


class Airflow:
    """Answers as Airflow's REST API would; unpausing starts the newest run."""

    def __init__(self, *runs: dict[str, Any], paused: bool = True, starts: dict[str, Any] | None = None) -> None:
        self.known, self.paused, self.starts = list(runs), paused, starts
        self.triggered: list[dict[str, Any]] = []
        self.moments: list[tuple[str, list[dict[str, Any]]]] = []
        self.logs: dict[str, list[LogLine]] = {}

    def dag(self, dag_id: str) -> dict[str, Any] | None:
        assert dag_id == "flywheel_tickets"
        return {"is_paused": self.paused}

    def unpause(self, dag_id: str) -> None:
        self.known += [self.starts] if self.starts else []

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        return self.known

    def trigger(self, dag_id: str, *, conf: dict[str, Any], note: str) -> str:
        self.triggered.append(conf)
        return "manual"

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        return run(run_id, self.moments[0][0])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        return self.moments.pop(0)[1]

    def log(self, dag_id: str, run_id: str, task: dict[str, Any]) -> list[LogLine]:
        return self.logs.get(task["task_id"], [])


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POLL_SECONDS", "RUN_SECONDS", "DAG_SECONDS"):
        monkeypatch.setattr(module, name, 0.01)


def begun(airflow: Any) -> str:
    return begin(airflow, load_flywheel("tickets"), TURN, lambda line: None)


def followed(airflow: Any) -> tuple[Any, str]:
    out = StringIO()
    with View(Console(file=out, width=60)) as view:
        return follow(airflow, load_flywheel("tickets"), "the run", view), out.getvalue()


def test_the_run_that_unpausing_starts_is_followed() -> None:
    airflow = Airflow(run("old", "success", start="2026-11-20T00:00:00Z"), starts=run("scheduled", "queued"))
    assert begun(airflow) == "scheduled" and airflow.triggered == []


def test_one_is_triggered_where_none_appears() -> None:
    airflow = Airflow()
    assert begun(airflow) == "manual" and airflow.triggered == [{"turn": "2026-11-21T00:00Z"}]


def test_a_run_under_way_is_followed_whoever_started_it() -> None:
    assert begun(Airflow(run("scheduled", "success"), run("by hand", "running"), paused=False)) == "by hand"
    undated = run("by form", "running", start=None, turn="2026-11-21")
    assert begun(Airflow(undated, paused=False)) == "by form"


def test_a_turn_that_has_had_its_run_runs_again_under_a_new_name() -> None:
    airflow = Airflow(run("scheduled", "success"), run("failed", "failed"), paused=False)
    assert begun(airflow) == "manual" and airflow.triggered == [{"turn": "2026-11-21T00:00Z"}]


def test_a_form_field_counts_more_than_the_interval() -> None:
    other = run("of another turn", "running", turn="2026-11-03")
    assert begun(Airflow(other, paused=False)) == "manual"


def test_a_dag_that_is_not_there_is_told_with_airflows_import_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    airflow: Any = Airflow()
    monkeypatch.setattr(airflow, "dag", lambda dag_id: None)
    airflow.import_errors = lambda: ["config_errors.py: ConfigError: unknown key"]
    with pytest.raises(AirflowError, match=r"no DAG 'flywheel_tickets': config_errors.py: ConfigError: unknown key"):
        begun(airflow)


def test_states_and_progress_are_told_line_by_line_where_there_is_no_terminal() -> None:
    airflow = Airflow()
    airflow.moments = [
        ("running", [task("validate", None), task("ingest", "running", end_date=None)]),
        ("running", [task("validate", "running"), task("ingest", "success")]),
        ("success", [task("validate", "success"), task("ingest", "success")]),
    ]
    airflow.logs["ingest"] = [LogLine("140 of 150", OF_STAGE, "info"), LogLine("noise", "airflow", "info")]
    result, text = followed(airflow)
    assert text.splitlines() == [
        "ingest: running",
        "  ingest | 140 of 150",
        "ingest: success after 30 s",
        "validate: running",
        "validate: success after 30 s",
    ]
    assert (result.state, result.seconds, result.failed) == ("success", 300.0, None)


def test_the_first_failed_task_is_told_with_what_its_process_said() -> None:
    airflow = Airflow()
    late = task("explore.score", "failed", map_index=1, end_date="2026-11-22T00:02:00Z")
    airflow.moments = [("failed", [late, task("explore.generate", "failed", map_index=0), task("update", None)])]
    airflow.logs["explore.generate"] = [
        LogLine("DAG bundles loaded", "airflow", "info"),
        LogLine("error: no memory", OF_STAGE, "info"),
        LogLine("Task failed with exception: killed", "task", "error"),
    ]
    result, _ = followed(airflow)
    assert result.failed == ("generate 0", ["error: no memory", "Task failed with exception: killed"])


def test_waiting_is_bounded_and_ends_when_a_service_has() -> None:
    airflow: Any = Airflow()
    airflow.moments = [("running", [])] * 2
    with pytest.raises(AirflowError, match="has not ended after 0 minutes"):
        follow(airflow, load_flywheel("tickets"), "the run", View(Console(file=StringIO())), limit_s=0)

    def check() -> None:
        raise AirflowError("scheduler has ended")

    with pytest.raises(AirflowError, match="scheduler has ended"):
        follow(airflow, load_flywheel("tickets"), "the run", View(Console(file=StringIO())), check=check)


def test_the_live_table_shows_state_attempt_seconds_and_what_is_said() -> None:
    out = StringIO()
    console = Console(file=out, width=80)
    console.print(table([TaskLine("generate", "running", 12.4, "64 of 130 [prompts]", 2), TaskLine("score", "", None)]))
    lines = [line.split() for line in out.getvalue().splitlines()[1:]]
    assert lines == [
        ["generate", "running", "(attempt", "2)", "12", "64", "of", "130", "[prompts]"],
        ["score", "–"],
    ]
