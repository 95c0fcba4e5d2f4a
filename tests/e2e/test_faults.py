"""A turn in whose middle a worker, the api-server, the scheduler and PostgreSQL are killed, one after the other.

Every stage is real but for its model, which is pretended, and waits in mid-work as long as the test holds it. A
service that has ended is started again as it was, as a supervisor of services would.
"""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psutil
import pytest

from tao_ops import turns
from tao_ops.database import database
from tao_ops.embedded_postgres import EmbeddedPostgres
from tao_ops.lake import open_lake
from tao_ops.local import health
from tao_ops.local import services as local_services
from tao_ops.local.client import AirflowClient
from tao_ops.local.follow import UNFINISHED
from tao_ops.registry import open_registry
from tao_ops.settings import Settings
from tao_ops.turn import Turn
from tests.e2e.operated import tickets
from tests.e2e.operated.stand_in import held_by, hold
from tests.e2e.operated.started import Operated, operated
from tests.e2e.operated.watching import eventually, first_run, stage_processes
from tests.e2e.test_airflow_turn import assert_each_row_once

DAG = "flywheel_tickets"
GENERATE = "explore.generate"
SOONER = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
}
"""A worker that is gone is missed after one minute instead of two."""


class Supervisor:
    """Kills services and starts again whatever has ended, each as it was."""

    def __init__(self, airflow: Operated) -> None:
        self.services = self._ever = airflow.services
        self._env = airflow.env

    def kill(self, name: str) -> None:
        (service,) = (each for each in self.services.services if each.name == name)
        psutil.Process(service.pid).kill()
        eventually(lambda: not service.alive())
        self.mend()

    def mend(self) -> None:
        """Start what has ended until all is well, by heartbeats from now on."""
        began = time.time()

        def well() -> bool:
            for name in self.services.dead():
                self._start(name)
            return health.healthy(health._health(self.services.url), began)

        eventually(well)

    def _start(self, name: str) -> None:
        arguments = local_services._airflow(self.services.port)[name]
        # Recorded beside what was killed, whose offspring the end of the test has to find as well.
        self._ever = self._ever.launch(name, partial(local_services._run_airflow, arguments, self._env))
        others = (each for each in self.services.services if each.name != name)
        self.services = replace(self.services, services=(*others, self._ever.services[-1]))


def attempts(client: AirflowClient, run_id: str) -> dict[str, tuple[str, int]]:
    """State and number of each task's attempt."""
    return {task["task_id"]: (task["state"], task["try_number"]) for task in client.tasks(DAG, run_id)}


def at_work(airflow: Operated, stage: str, *, after: psutil.Process | None = None) -> psutil.Process:
    """The process of a stage that waits in mid-work; a later one than ``after``, which may live on for a while."""

    def look() -> list[psutil.Process]:
        pid = held_by(stage)
        return [each for each in stage_processes(airflow.services.home, stage) if each.pid == pid and each != after]

    (found,) = eventually(look)
    return found


@pytest.mark.timeout(1500)
def test_a_turn_survives_whatever_is_killed_in_its_middle(tmp_path: Path) -> None:
    with operated(tmp_path, SOONER) as airflow, airflow.services.client() as client:
        night = _prepare(airflow, tmp_path)
        eventually(lambda: client.dag(DAG))
        run_id, supervisor = first_run(client, DAG), Supervisor(airflow)

        stage = at_work(airflow, "generate")
        worker = stage.parents()[1]
        assert "LocalExecutor" in " ".join(worker.cmdline())
        worker.kill()
        eventually(lambda: attempts(client, run_id)[GENERATE] == ("up_for_retry", 1))

        at_work(airflow, "generate", after=stage)
        supervisor.kill("api-server")
        hold("generate").unlink()

        at_work(airflow, "update")
        supervisor.kill("scheduler")
        hold("update").unlink()

        at_work(airflow, "evaluate")
        _kill_postgres(airflow)
        hold("evaluate").unlink()  # a scheduler that gives up waits for its tasks first
        supervisor.mend()

        eventually(lambda: client.run(DAG, run_id)["state"] not in UNFINISHED)
        ended = attempts(client, run_id)
        assert client.run(DAG, run_id)["state"] == "success", ended
        assert {state for state, _ in ended.values()} == {"success", "skipped"}
        assert ended["ingest"] == ended["validate"] == ended["register"] == ("success", 1)
        assert _told(client, run_id) >= {"heartbeat timeout"}
        settings = Settings.from_env()
        assert_each_row_once(night, turns.show(open_lake(settings.lake), night)["stages"])
        with database(settings) as url:
            assert open_registry(url, settings).champion_version("tickets") == 1


def _prepare(airflow: Operated, folder: Path) -> Turn:
    """The flywheel, its logs of last night's turn, and three stages that will wait."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    night = Turn("tickets", today - timedelta(days=1), today)
    tickets.write_flywheel(airflow.include, folder, approval="auto")
    tickets.write_logs(airflow.services.home / "logs" / "tickets", [night.start.date()])
    for stage in ("generate", "update", "evaluate"):
        hold(stage).touch()
    return night


def _kill_postgres(airflow: Operated) -> None:
    """Kill the server; start it again as soon as it is gone."""
    home = airflow.services.home
    use = EmbeddedPostgres.start(home)
    killed = use.pid
    assert killed is not None
    psutil.Process(killed).kill()
    eventually(lambda: use.pid != killed)
    EmbeddedPostgres.start(home).stop()
    use.stop()


def _told(client: AirflowClient, run_id: str) -> set[str]:
    """What happened to the run's tasks, as Airflow's Audit Log tells it."""
    logs = client.ask("GET", "eventLogs", params={"dag_id": DAG, "run_id": run_id, "limit": 100}).json()
    return {each["event"] for each in logs["event_logs"]}
