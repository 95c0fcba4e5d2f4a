"""The tasks that wait for servers: each look is a process, and what it says ends, skips or fails the task."""

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
)
from tao_airflow.approval import ReleaseOperator
from tao_airflow.serving import CanarySensor, DeployedSensor

from tao_ops.settings import PROJECT

Context = Callable[..., dict[str, Any]]
STANDING = "1 of 1 servers serve version 3"


def says(stand_in: Any, told: dict[str, Any] | None = None, code: int = 0, error: str = "") -> None:
    """What the command prints, and how it ends."""
    words = f"print('error: {error}', file=sys.stderr)\n" if error else ""
    line = "" if told is None else f"print({json.dumps(told)!r})\n"
    stand_in.does(f"{words}{line}sys.exit({code})")


def canary(**told: Any) -> dict[str, Any]:
    base = {"state": "running", "who": None, "why": "not enough yet", "outcome": "goes_on", "standing": STANDING}
    return {**base, "version": 4, **told}


@pytest.fixture
def tried(context: Context) -> Callable[..., dict[str, Any]]:
    def make(**metrics: Any) -> dict[str, Any]:
        told = {"version": 4, "decision": "promote", "alias": None, "pending": False, "canary": True}
        made = context(xcom={"register": {"metrics": {**told, **metrics}}})
        made["ti"].get_first_reschedule_date = lambda _: None
        return made

    return make


def sensor(limit: timedelta = timedelta(hours=24)) -> CanarySensor:
    return CanarySensor(task_id="canary", flywheel="tickets", limit=limit)


def test_a_canary_that_runs_is_looked_at_again_without_a_worker(
    stand_in: Any, task_log: list[str], tried: Callable[..., dict[str, Any]]
) -> None:
    says(stand_in, canary())
    with pytest.raises(AirflowRescheduleException):
        sensor().execute(tried())
    assert stand_in.calls[0]["arguments"] == ["server", "canary", "tickets", "--version", "4", "--json"]
    assert any("the canary of version 4 of tickets: not enough yet; 1 of 1 servers" in line for line in task_log)


@pytest.mark.parametrize("who", ["canary", "ana"])
def test_one_that_has_grown_ends_the_task_and_moves_the_models_asset(
    stand_in: Any, task_log: list[str], tried: Callable[..., dict[str, Any]], who: str
) -> None:
    says(stand_in, canary(state="grown", who=who, why="no limit is broken", outcome=None))
    given = tried()
    assert sensor().execute(given) == {"version": 4, "why": "no limit is broken"}
    events = [each.extra for accessor in given["outlet_events"]._dict.values() for each in accessor.asset_alias_events]
    assert [(event["version"], event["who"]) for event in events] == [(4, who)]


@pytest.mark.parametrize(
    ("state", "says_"),
    [("rolled_back", "was rolled back: errors: 5 %"), ("ended", "ended: errors: 5 %")],
)
def test_one_that_its_figures_ended_fails_the_task_for_good(
    stand_in: Any, task_log: list[str], tried: Callable[..., dict[str, Any]], state: str, says_: str
) -> None:
    says(stand_in, canary(state=state, who="canary", why="errors: 5 %", outcome=None))
    with pytest.raises(AirflowFailException, match=f"{says_}. The champion stays; 1 of 1 servers"):
        sensor().execute(tried())


@pytest.mark.parametrize("state", ["rolled_back", "superseded"])
def test_one_that_a_person_ended_is_skipped(
    stand_in: Any, task_log: list[str], tried: Callable[..., dict[str, Any]], state: str
) -> None:
    says(stand_in, canary(state=state, who="ana", why="it swears", outcome=None))
    with pytest.raises(AirflowSkipException, match="by ana: it swears"):
        sensor().execute(tried())


def test_it_is_skipped_where_nothing_is_tried(
    stand_in: Any, task_log: list[str], tried: Callable[..., dict[str, Any]]
) -> None:
    for metrics in ({"decision": "reject"}, {"alias": "champion"}):
        with pytest.raises(AirflowSkipException, match="nothing is tried on users"):
            sensor().execute(tried(**metrics))
    says(stand_in, {"flywheel": "tickets", "state": "none", "standing": STANDING})
    with pytest.raises(AirflowSkipException, match="no canary of version 4 began"):
        sensor().execute(tried())
    assert len(stand_in.calls) == 1


def test_a_database_that_is_away_is_no_failure_and_a_broken_model_is(
    stand_in: Any, task_log: list[str], tried: Callable[..., dict[str, Any]]
) -> None:
    says(stand_in, code=75, error="no connection to PostgreSQL")
    with pytest.raises(AirflowRescheduleException):
        sensor().execute(tried())
    says(stand_in, code=1, error="version 4 was registered as a, its folder now holds b")
    with pytest.raises(AirflowFailException, match="its folder now holds b"):
        sensor().execute(tried())


def test_a_look_has_its_secrets_masked(
    stand_in: Any, task_log: list[str], tried: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden: list[str] = []
    monkeypatch.setattr("airflow.sdk.log.mask_secret", hidden.append)
    monkeypatch.setenv("TAO_DATABASE_URL", "postgresql://tao:hunter2@db/tao")
    says(stand_in, code=1, error="no such user for hunter2")
    with pytest.raises(AirflowFailException):
        sensor().execute(tried())
    assert "hunter2" in hidden


def test_a_yes_that_begins_a_canary_moves_no_asset_yet(
    stand_in: Any, task_log: list[str], context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(PROJECT / "include", tmp_path / "include")
    path = tmp_path / "include" / "flywheels" / "tickets.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "\nserve: {canary: {share: 0.2}}\n", encoding="utf-8")
    monkeypatch.setenv("TAO_INCLUDE", str(tmp_path / "include"))
    given = context(xcom={"approve": {"verb": "promote", "version": 4, "who": "ann", "reason": "fine"}})
    ReleaseOperator(task_id="release", flywheel="tickets").execute(given)
    assert stand_in.calls[0]["arguments"][:4] == ["registry", "promote", "tickets", "4"]
    assert not [each for accessor in given["outlet_events"]._dict.values() for each in accessor.asset_alias_events]


def deployed(limit: timedelta = timedelta(minutes=30)) -> DeployedSensor:
    return DeployedSensor(task_id="deployed", flywheel="tickets", limit=limit)


def test_deployed_waits_for_the_last_server(
    stand_in: Any, task_log: list[str], tried: Callable[..., dict[str, Any]]
) -> None:
    behind = {
        "champion": 4,
        "done": False,
        "told": "0 of 1 servers serve version 4; s1 keeps",
        "on": [],
        "behind": [{}],
    }
    says(stand_in, behind, code=75)
    with pytest.raises(AirflowRescheduleException):
        deployed().execute(tried())
    assert stand_in.calls[0]["arguments"] == ["server", "wait", "tickets", "--once", "--json"]
    says(stand_in, {**behind, "done": True, "told": "1 of 1 servers serve version 4", "on": [{}], "behind": []})
    deployed().execute(tried())
    assert "1 of 1 servers serve version 4" in task_log


def test_deployed_skips_without_servers_and_names_the_late_ones_at_its_limit(
    stand_in: Any, task_log: list[str], tried: Callable[..., dict[str, Any]]
) -> None:
    none = {"champion": 4, "done": True, "told": "no server lives; the champion is version 4", "on": [], "behind": []}
    says(stand_in, none)
    with pytest.raises(AirflowSkipException, match="no server lives"):
        deployed().execute(tried())
    told = "0 of 1 servers serve version 4; s1 keeps version 3 (no such folder)"
    says(stand_in, {**none, "done": False, "told": told, "behind": [{}]}, code=75)
    with pytest.raises(AirflowSensorTimeout, match=r"not deployed within 0:00:00: .*s1 keeps version 3 \(no such"):
        deployed(timedelta(0)).execute(tried())


@pytest.mark.parametrize("made", [sensor, deployed])
def test_both_wait_without_a_worker_and_run_after_tasks_that_skipped(made: Callable[[], Any]) -> None:
    task = made()
    assert (task.mode, task.poke_interval, task.trigger_rule, task.pool) == (
        "reschedule",
        60,
        "none_failed",
        "default_pool",
    )
