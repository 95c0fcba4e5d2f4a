"""Runs by hand, by form and by backfill, and a stop in mid-work; a stand-in takes the place of the stages."""

from collections.abc import Callable, Mapping
from typing import Any

import psutil
import pytest

from tao_ops.local.client import AirflowClient
from tao_ops.local.follow import UNFINISHED
from tao_ops.local.services import down, up
from tao_ops.settings import Settings
from tests.e2e.operated.stand_in import hold, turns_of
from tests.e2e.operated.started import Operated
from tests.e2e.operated.watching import ended, eventually, first_run, stage_processes

DAILY, HALTED = "flywheel_daily", "flywheel_halted"


def all_ended(client: AirflowClient) -> list[dict[str, Any]]:
    """The runs, oldest first, once all have ended."""
    runs = eventually(lambda: all(r["state"] not in UNFINISHED for r in client.runs(DAILY)) and client.runs(DAILY))
    return sorted(runs, key=lambda run: str(run["logical_date"]))


def take_turns() -> set[str]:
    """The turns that stages have worked on since the last call."""
    noted = turns_of("daily")
    found = set(noted.read_text(encoding="utf-8").split())
    noted.unlink()
    return found


@pytest.mark.timeout(900)
def test_a_day_run_by_hand_is_the_day_that_a_backfill_finds(
    client: AirflowClient, with_flywheels: Callable[[Mapping[str, Any]], None]
) -> None:
    with_flywheels({"daily": {}})
    first_run(client, DAILY)
    all_ended(client)
    take_turns()

    body = {"logical_date": "2026-02-11T00:00:00Z", "conf": {}}
    by_hand = client.ask("POST", f"dags/{DAILY}/dagRuns", json=body).json()
    assert by_hand["data_interval_start"] == "2026-02-11T00:00:00Z"
    all_ended(client)
    assert take_turns() == {"2026-02-11T00:00Z"}

    backfill = {
        "dag_id": DAILY,
        "from_date": "2026-02-10T00:00:00Z",
        "to_date": "2026-02-12T00:00:00Z",
        "reprocess_behavior": "none",
        "max_active_runs": 1,
        "run_backwards": False,
        "dag_run_conf": {},
    }
    client.ask("POST", "backfills", json=backfill)
    eventually(lambda: len(client.runs(DAILY)) == 4)
    runs = all_ended(client)
    assert take_turns() == {"2026-02-10T00:00Z", "2026-02-12T00:00Z"}
    assert [run["state"] for run in runs] == ["success"] * 4
    assert all(run["logical_date"] == run["data_interval_start"] for run in runs)

    client.trigger(DAILY, conf={"turn": "2026-02-11"}, note="by the form")
    all_ended(client)
    assert take_turns() == {"2026-02-11T00:00Z"}


@pytest.mark.timeout(900)
def test_down_in_mid_work_ends_the_stage_and_a_later_start_goes_on(
    airflow: Operated, client: AirflowClient, with_flywheels: Callable[[Mapping[str, Any]], None]
) -> None:
    with_flywheels({"halted": {}})
    home = airflow.services.home
    hold("validate").touch()
    run_id = first_run(client, HALTED)
    (stage,) = eventually(lambda: stage_processes(home, "validate"))
    down(home)
    assert not psutil.pid_exists(stage.pid) or stage.status() == psutil.STATUS_ZOMBIE
    hold("validate").unlink()
    up(Settings.from_env(), lambda line: None)
    eventually(lambda: client.run(HALTED, run_id)["state"] not in UNFINISHED)
    assert ended(client, HALTED, run_id)["run"] == "success"
    attempts = {task["task_id"]: task["try_number"] for task in client.tasks(HALTED, run_id)}
    assert attempts["validate"] == 2 and attempts["ingest"] == 1
