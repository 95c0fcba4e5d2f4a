"""Runs by hand, by form and by backfill in a real Airflow; a stand-in takes the place of the stages."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tao_ops.local.client import AirflowClient
from tao_ops.local.environment import MARK
from tao_ops.local.follow import UNFINISHED
from tao_ops.local.services import down
from tao_ops.local.state import Services

DAG = "flywheel_tickets"
STAND_IN = """#!{python} -u
import json, sys, time
arguments = sys.argv[3:]
if arguments[0] == "server":
    sys.exit(print(json.dumps({{"done": True, "told": "no server lives", "on": [], "behind": []}})))
with open({calls!r}, "a") as calls:
    calls.write(arguments[0] + " " + arguments[arguments.index("--turn") + 1] + "\\n")
print(arguments[0], "at work")
if arguments[0] == {slow!r}:
    time.sleep(600)
with open(arguments[arguments.index("--report") + 1], "w") as report:
    json.dump({{"stage": arguments[0], "rows_in": 1, "rows_out": 1, "metrics": {{"shards": 2}}}}, report)
"""


class StandIn:
    def __init__(self, folder: Path) -> None:
        self.path, self._calls = folder / "python", folder / "calls"
        self.slow_at("")

    def slow_at(self, stage: str) -> None:
        self.path.write_text(STAND_IN.format(python=sys.executable, calls=str(self._calls), slow=stage))
        self.path.chmod(0o755)

    def take_calls(self) -> list[str]:
        calls = self._calls.read_text().splitlines()
        self._calls.unlink()
        return calls


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    return StandIn(tmp_path)


@contextmanager
def started(start: Callable[[], Services], stand_in: StandIn, patch: pytest.MonkeyPatch) -> Iterator[Any]:
    patch.setenv("TAO_PYTHON", str(stand_in.path))
    services = start()
    with services.client() as client:
        eventually(lambda: client.dag(DAG))
        yield services, client


def eventually(look: Callable[[], Any], limit_s: float = 120) -> Any:
    deadline = time.monotonic() + limit_s
    while not (found := look()):
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.3)
    return found


def ended(client: AirflowClient) -> list[dict[str, Any]]:
    """The runs, oldest first, once all have ended."""
    runs = eventually(lambda: all(r["state"] not in UNFINISHED for r in client.runs(DAG)) and client.runs(DAG))
    return sorted(runs, key=lambda run: str(run["logical_date"]))


def turns_of(calls: list[str]) -> set[str]:
    return {call.split()[1] for call in calls}


@pytest.mark.timeout(420)
def test_a_day_run_by_hand_is_the_day_that_a_backfill_finds(
    start_airflow: Callable[[], Services], stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started(start_airflow, stand_in, monkeypatch) as (_, client):
        client.unpause(DAG)
        eventually(lambda: client.runs(DAG))
        ended(client)
        stand_in.take_calls()

        body = {"logical_date": "2026-02-11T00:00:00Z", "conf": {}}
        by_hand = client.ask("POST", f"dags/{DAG}/dagRuns", json=body).json()
        assert by_hand["data_interval_start"] == "2026-02-11T00:00:00Z"
        ended(client)
        assert turns_of(stand_in.take_calls()) == {"2026-02-11T00:00Z"}

        backfill = {
            "dag_id": DAG,
            "from_date": "2026-02-10T00:00:00Z",
            "to_date": "2026-02-12T00:00:00Z",
            "reprocess_behavior": "none",
            "max_active_runs": 1,
            "run_backwards": False,
            "dag_run_conf": {},
        }
        client.ask("POST", "backfills", json=backfill)
        eventually(lambda: len(client.runs(DAG)) == 4)
        runs = ended(client)
        assert turns_of(stand_in.take_calls()) == {"2026-02-10T00:00Z", "2026-02-12T00:00Z"}
        assert [run["state"] for run in runs] == ["success"] * 4
        assert all(run["logical_date"] == run["data_interval_start"] for run in runs)

        client.trigger(DAG, conf={"turn": "2026-02-11"}, note="by the form")
        ended(client)
        assert turns_of(stand_in.take_calls()) == {"2026-02-11T00:00Z"}


@pytest.mark.timeout(300)
def test_down_in_mid_work_ends_the_stage_and_a_later_start_goes_on(
    start_airflow: Callable[[], Services], stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in.slow_at("validate")
    with started(start_airflow, stand_in, monkeypatch) as (services, client):
        client.unpause(DAG)
        (stage,) = eventually(lambda: stages(services.home, "validate"))
        down(services.home)
        assert not psutil.pid_exists(stage.pid) or stage.status() == psutil.STATUS_ZOMBIE
    stand_in.slow_at("")
    with started(start_airflow, stand_in, monkeypatch) as (_, client):
        (run,) = ended(client)
        assert run["state"] == "success"
        attempts = {task["task_id"]: task["try_number"] for task in client.tasks(DAG, run["dag_run_id"])}
    assert attempts["validate"] == 2 and attempts["ingest"] == 1


def stages(home: Path, stage: str) -> list[psutil.Process]:
    """The processes that run a stage for the services of ``home``."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if "tao_ops.cli" in words and stage in words and process.environ().get(MARK) == str(home):
                found.append(process)
        except psutil.Error:
            continue
    return found
