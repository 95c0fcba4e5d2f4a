"""A turn on Celery's workers; and again, with the worker that holds the model gone in mid-generation.

PostgreSQL, the broker, Airflow and two workers are real: one for the light stages, one for those that load a model,
separate processes with homes of their own, which share the lake. Every stage is real but for its model, which is
pretended.
"""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from tao_ops import turns
from tao_ops.lake import Lake, open_lake
from tao_ops.local.client import AirflowClient
from tao_ops.local.follow import UNFINISHED
from tao_ops.settings import Settings
from tao_ops.tables import TABLES
from tao_ops.turn import Turn
from tests.e2e.celery_cluster import Worker, Workers, broker, with_celery
from tests.e2e.operated import tickets
from tests.e2e.operated.started import operated
from tests.e2e.operated.watching import eventually, first_run, going_well
from tests.e2e.test_airflow_turn import assert_each_row_once

DAG, GENERATE = "flywheel_tickets", "explore.generate"
LAUNCH = {"light": {"queue": "default"}, "model": {"queue": "gpu", "pool": "gpu"}}
ON_GPU = {GENERATE, "explore.score", "update", "evaluate"}
RUN_SECONDS = 650
OF_THE_ATTEMPT = {"run_id", "inputs", "output_version", "code_version", "seconds", "metrics", "finished_at"}
"""Columns that tell of the attempt, or of the checkout that it ran in, not of what it found."""


@pytest.mark.timeout(1500)
def test_a_turn_on_two_workers_and_again_with_one_of_them_gone(tmp_path: Path) -> None:
    with (
        broker(tmp_path) as broker_url,
        operated(tmp_path, with_celery(broker_url)) as airflow,
        airflow.services.client() as client,
    ):
        workers = Workers(airflow)
        light = workers.start("light", "default", slots=2, own_logs=False)
        gpu = workers.start("gpu-1", "gpu", slots=1, own_logs=True)
        lake = Path(Settings.from_env().lake)
        night = _prepare(airflow.include, tmp_path, light)

        eventually(lambda: workers.require_alive(light) and workers.require_alive(gpu) and client.dag(DAG))
        run_id = first_run(client, DAG)
        eventually(
            lambda: workers.require_alive(gpu) and going_well(client, DAG, run_id) and _is_over(client, run_id),
            RUN_SECONDS,
        )
        assert client.run(DAG, run_id)["state"] == "success"
        queues = {name: task["queue"] for name, task in _tasks(client, run_id).items()}
        assert {name for name, queue in queues.items() if queue == "gpu"} == ON_GPU
        assert set(queues.values()) == {"gpu", "default"}
        _assert_served_by(gpu, client, run_id)
        found = _content(lake, night)
        assert_each_row_once(night, turns.show(open_lake(str(lake)), night)["stages"])

        # The turn once more, from nothing: what lies in the lake would be taken instead of sampled again.
        shutil.move(lake, tmp_path / "lake-of-the-first")
        gpu.hold("generate").touch()
        run_id = client.trigger(DAG, conf={"turn": night.key}, note="again")
        stage = eventually(lambda: gpu.at_work("generate"))
        assert gpu.service.pid in {process.pid for process in stage.parents()}
        gpu.kill()
        eventually(lambda: _is_gone(stage))
        assert light.service.alive()

        other = workers.start("gpu-2", "gpu", slots=1, own_logs=True)
        eventually(lambda: workers.require_alive(other) and _is_over(client, run_id), RUN_SECONDS)
        attempts = {name: (task["state"], task["try_number"]) for name, task in _tasks(client, run_id).items()}
        assert client.run(DAG, run_id)["state"] == "success", attempts
        assert attempts.pop(GENERATE) == ("success", 2)
        assert attempts["update"] == attempts["register"] == ("success", 1)
        assert {number for _, number in attempts.values()} <= {0, 1}, "nothing else was tried again"
        _assert_served_by(other, client, run_id)

        assert _content(lake, night) == found
        assert_each_row_once(night, turns.show(open_lake(str(lake)), night)["stages"])


def _prepare(include: Path, folder: Path, light: Worker) -> Turn:
    """The flywheel, and its logs of last night's turn, where the worker that ingests looks for them."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    night = Turn("tickets", today - timedelta(days=1), today)
    tickets.write_flywheel(include, folder, approval="auto")
    path = include / "flywheels" / "tickets.yaml"
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    # The champion stays, so that the second run samples what the first did.
    path.write_text(yaml.safe_dump(told | {"launch": LAUNCH, "dry_run": True}, sort_keys=False), encoding="utf-8")
    tickets.write_logs(light.home / "logs" / "tickets", [night.start.date()])
    return night


def _is_over(client: AirflowClient, run_id: str) -> bool:
    return client.run(DAG, run_id)["state"] not in UNFINISHED


def _tasks(client: AirflowClient, run_id: str) -> dict[str, dict[str, Any]]:
    return {task["task_id"]: task for task in client.tasks(DAG, run_id)}


def _assert_served_by(worker: Worker, client: AirflowClient, run_id: str) -> None:
    """The log of ``generate`` lies with its worker alone, and Airflow shows it all the same."""
    written = [path for path in (worker.home / "airflow" / "logs").rglob("*.log") if GENERATE in str(path)]
    assert written
    log = client.log(DAG, run_id, _tasks(client, run_id)[GENERATE])
    assert any(line.of_stage and "prompts, model" in line.text for line in log), [line.text for line in log]


def _content(lake: Path, turn: Turn) -> dict[str, list[dict[str, Any]]]:
    """The turn's rows of every table, without what each attempt has of its own."""
    found = {}
    for name, table in TABLES.items():
        rows = (
            Lake(str(lake))
            .read(table, flywheel=turn.flywheel, turn=turn.key)
            .drop([column for column in table.schema.names if column in OF_THE_ATTEMPT])
        )
        keys = [*table.partition, *(key for key in table.key if key not in table.partition)]
        found[name] = rows.sort_by([(key, "ascending") for key in keys]).to_pylist()
    assert found["responses"] and found["evaluations"]
    return found


def _is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
