"""Turns whose stages run on a Ray cluster on loopback; nodes are killed in mid-stage, tasks cleared.

Ray, its Jobs API, PostgreSQL, the lake and the stages are real; the model is pretended. In the first test Airflow's
part is played: each task begins, the trigger that it leaves behind is run, and it goes on with what that fired. In the
second one Airflow is real, too.
"""

import asyncio
import json
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import yaml

from tao_ops import turns
from tao_ops.database import database
from tao_ops.lake import open_lake
from tao_ops.local.client import AirflowClient
from tao_ops.settings import PROJECT, Settings
from tao_ops.tables import TABLES
from tao_ops.turn import Turn
from tests.e2e.operated import tickets
from tests.e2e.operated.stand_in import hold, install
from tests.e2e.operated.started import operated
from tests.e2e.operated.watching import ended, eventually, first_run, going_well
from tests.e2e.ray_cluster import SLOTS, RayCluster, ray_cluster, stage_processes
from tests.e2e.test_airflow_turn import STAGES, assert_each_row_once

pytest.importorskip("ray", reason="the test of the Ray launcher needs Ray: pip install 'ray[default]==2.60.0'")
pytest.importorskip("aiohttp_cors", reason="Ray's Jobs API needs its dashboard: pip install 'ray[default]==2.60.0'")

SHARDS, TRIES = 2, 3
RUN = "manual__1"
DAG, GENERATE = "flywheel_tickets", "explore.generate"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What triggers tell in their tasks' logs."""
    from tao_airflow.ray_trigger import RayJobTrigger

    found: list[str] = []
    logger = logging.getLogger("triggers of a test")
    logger.setLevel(logging.INFO)
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    monkeypatch.setattr(RayJobTrigger, "log", logger)
    yield found
    logger.removeHandler(handler)


def on_cluster(cluster: RayCluster, python: Path) -> dict[str, Any]:
    """The section ``ray`` of a flywheel."""
    amounts = {"cpus": 1, "gpus": 0, "resources": {SLOTS: 1}}
    environment = {"PYTHONPATH": str(PROJECT), "TAO_HOME": None}
    return {"address": cluster.address, **amounts, "python": str(python), "environment": environment}


class Night:
    """A turn, and its tasks as Airflow would run them."""

    def __init__(self, turn: Turn, cluster: RayCluster, python: Path) -> None:
        from tao_ops.config.launch_ray import RayConfig

        self.turn = turn
        self.max_tries = TRIES - 1
        self.errors: list[str] = []
        self._ray = RayConfig.model_validate(on_cluster(cluster, python))

    def context(self) -> dict[str, Any]:
        """What Airflow hands to a task of the turn's run."""
        from airflow.sdk.execution_time.context import OutletEventAccessors

        run = {
            "dag_id": "flywheel_tickets",
            "run_id": RUN,
            "run_type": "scheduled",
            "logical_date": self.turn.start,
            "data_interval_start": self.turn.start,
            "data_interval_end": self.turn.end,
            "run_after": self.turn.end,
        }
        ti = SimpleNamespace(max_tries=self.max_tries, xcom_push=lambda key, value: None)
        return {"dag_run": SimpleNamespace(**run), "params": {}, "ti": ti, "outlet_events": OutletEventAccessors()}

    def here(self, stage: str) -> Any:
        """Run a light stage beside the worker."""
        from tao_airflow.stage_operator import StageOperator

        return StageOperator(task_id=stage, stage=stage, flywheel="tickets").execute(self.context())

    def task(self, stage: str, shard: int | None) -> Any:
        """A stage's task, in a worker of its own."""
        from tao_airflow.ray_operator import RayStageOperator

        how = {"task_id": stage, "stage": stage, "flywheel": "tickets", "shard": shard, "ray": self._ray}
        return RayStageOperator(**how, execution_timeout=timedelta(minutes=15))

    def begun(self, stage: str, shard: int | None = None) -> Any:
        """The trigger that a task leaves behind."""
        from airflow.sdk.exceptions import TaskDeferred

        with pytest.raises(TaskDeferred) as left:
            self.task(stage, shard).execute(self.context())
        return left.value.trigger

    def ended(self, trigger: Any, stage: str, shard: int | None = None) -> Any:
        """What the task comes to once its trigger has fired."""
        return self.task(stage, shard).resume(self.context(), asyncio.run(fired(trigger)))

    def on_ray(self, stage: str, shard: int | None = None) -> Any:
        """The task to its end, tried again where Airflow would."""
        from airflow.sdk.exceptions import AirflowException, AirflowFailException

        for number in range(1, TRIES + 1):
            try:
                return self.ended(self.begun(stage, shard), stage, shard)
            except AirflowException as error:
                if number == TRIES or isinstance(error, AirflowFailException):
                    raise
                self.errors.append(str(error))
        raise AssertionError("it has no more tries")


async def fired(trigger: Any) -> dict[str, Any]:
    """The first event of a trigger that was made anew from what Airflow's database keeps."""
    _, arguments = trigger.serialize()
    async for event in type(trigger)(**json.loads(json.dumps(arguments))).run():
        return dict(event.payload)
    raise AssertionError("it never fired")


def state(cluster: RayCluster, job: str) -> str:
    return str(httpx.get(f"{cluster.address}/api/jobs/{job}", timeout=30, trust_env=False).json()["status"])


@pytest.mark.timeout(900)
def test_a_turn_on_a_ray_cluster_survives_a_node_that_is_killed(
    home: Path, include: Path, tmp_path: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = _prepare(include, home, tmp_path, {"generate": {"shards": SHARDS}})
    python = install(tmp_path / "python")
    monkeypatch.setenv("TAO_PYTHON", str(python))
    monkeypatch.setenv("TAO_HASH_KEY", "of-the-test")
    with database(Settings.from_env()) as url, ray_cluster(dict(os.environ)) as cluster:
        monkeypatch.setenv("TAO_DATABASE_URL", url)
        node = cluster.add_node(slots=SHARDS)
        night = Night(turn, cluster, python)
        night.here("ingest")
        assert night.here("validate") == list(range(SHARDS))

        _generate_while_a_node_dies(night, cluster, node)
        assert sum("rows out" in line for line in lines) == SHARDS, "a job's lines are its task's log"
        with ThreadPoolExecutor(SHARDS) as pool:
            list(pool.map(lambda shard: night.on_ray("score", shard), range(SHARDS)))
        _update_followed_by_another_triggerer(night, cluster)
        _evaluate_after_a_clearing(night, cluster)
        night.here("gate")
        night.here("register")
        assert len(night.errors) == SHARDS, night.errors
        _assert_each_row_once(turn)


@pytest.mark.timeout(1500)
def test_airflow_follows_a_job_and_stops_it_when_its_task_is_cleared(tmp_path: Path) -> None:
    with (
        operated(tmp_path) as airflow,
        airflow.services.client() as client,
        ray_cluster({**os.environ, "TAO_HASH_KEY": airflow.env["TAO_HASH_KEY"]}) as cluster,
    ):
        cluster.add_node(slots=1)
        launch = {"launch": {"model": {"ray": on_cluster(cluster, tmp_path / "python")}}}
        hold("generate").touch()
        turn = _prepare(airflow.include, airflow.services.home, tmp_path, launch)
        eventually(lambda: client.dag(DAG))
        run_id = first_run(client, DAG)

        (first,) = eventually(lambda: cluster.at_work("generate"))
        eventually(lambda: "Running entrypoint for job" in _log(client, run_id, GENERATE))
        assert going_well(client, DAG, run_id)[GENERATE] == "deferred", "its job's log is there while it runs"
        body = {"dry_run": False, "task_ids": [GENERATE], "dag_run_id": run_id, "only_failed": False}
        client.ask("POST", f"dags/{DAG}/clearTaskInstances", json=body)
        eventually(lambda: not first.is_running() and cluster.at_work("generate"))
        hold("generate").unlink()

        assert ended(client, DAG, run_id)["run"] == "success"
        told = _log(client, run_id, GENERATE)
        assert "-2: SUCCEEDED" in told and "rows out" in told
        assert_each_row_once(turn, turns.show(open_lake(Settings.from_env().lake), turn)["stages"])


def _log(client: AirflowClient, run_id: str, task_id: str) -> str:
    """The log of a task's newest try."""
    task = next(each for each in client.tasks(DAG, run_id) if each["task_id"] == task_id)
    return "\n".join(line.text for line in client.log(DAG, run_id, task))


def _prepare(include: Path, home: Path, folder: Path, changes: dict[str, Any]) -> Turn:
    """The flywheel with these changes, and last night's logs."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    turn = Turn("tickets", today - timedelta(days=1), today)
    aside = folder / "aside"
    shutil.copytree(include, aside)
    tickets.write_flywheel(aside, folder, approval="auto")
    path = Path("flywheels", "tickets.yaml")
    told = yaml.safe_load((aside / path).read_text(encoding="utf-8"))
    for key, part in changes.items():
        told[key] = {**(told.get(key) or {}), **part}
    (aside / path).write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")
    tickets.write_logs(home / "logs" / "tickets", [turn.start.date()])
    for each in (Path("benchmarks", "tickets", "items.jsonl"), path):  # the YAML last: Airflow looks at it at once
        shutil.copy(aside / each, include / each)
    return turn


def _generate_while_a_node_dies(night: Night, cluster: RayCluster, node: Any) -> None:
    hold("generate").touch()
    with ThreadPoolExecutor(SHARDS) as pool:
        both = [pool.submit(night.on_ray, "generate", shard) for shard in range(SHARDS)]
        try:
            eventually(
                lambda: (
                    len(stage_processes(node, "generate")) == SHARDS and hold("generate").with_suffix(".pid").exists()
                )
            )
            cluster.kill(node)
            third = cluster.add_node(slots=SHARDS)
            eventually(lambda: len(stage_processes(third, "generate")) == SHARDS)
        finally:
            hold("generate").unlink()
        reports = [each.result(timeout=300) for each in both]
    assert {report["stage"] for report in reports} == {"generate"}
    assert len(night.errors) == SHARDS
    assert all("error: stage generate was lost by the Ray cluster" in error for error in night.errors), night.errors


def _update_followed_by_another_triggerer(night: Night, cluster: RayCluster) -> None:
    hold("update").touch()
    lost = night.begun("update")
    eventually(lambda: cluster.at_work("update"))
    again = night.begun("update")
    assert again.submission_id == lost.submission_id and len(cluster.at_work("update")) == 1
    hold("update").unlink()
    assert night.ended(again, "update")["stage"] == "update"


def _evaluate_after_a_clearing(night: Night, cluster: RayCluster) -> None:
    hold("evaluate").touch()
    old = night.begun("evaluate")
    eventually(lambda: cluster.at_work("evaluate"))
    (held,) = cluster.at_work("evaluate")
    cancelled = threading.Thread(target=lambda: asyncio.run(old.on_kill()))
    cancelled.start()
    night.max_tries += TRIES
    new = night.begun("evaluate")
    cancelled.join()
    assert new.submission_id != old.submission_id
    assert state(cluster, old.submission_id) == "STOPPED" and not held.is_running()
    hold("evaluate").unlink()
    assert night.ended(new, "evaluate")["stage"] == "evaluate"


def _assert_each_row_once(turn: Turn) -> None:
    lake, counts = open_lake(Settings.from_env().lake), {}
    for name, table in TABLES.items():
        rows = lake.read(table, flywheel=turn.flywheel, turn=turn.key)
        keys = rows.group_by([*table.partition, *(k for k in table.key if k not in table.partition)]).aggregate([])
        assert keys.num_rows == rows.num_rows, f"{name} holds rows twice"
        counts[name] = rows.num_rows
    stages = turns.show(lake, turn)["stages"]
    assert counts["responses"] == stages["generate"]["rows_out"] == stages["score"]["rows_out"] > 0
    assert counts["responses"] == counts["rewards"]
    assert counts["turns"] == len(STAGES) + 2 * (SHARDS - 1)
