"""A small turn through a real Airflow with the real model, one of its stages killed in mid-work."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from tao_ops.config import Flywheel
from tao_ops.lake import Lake
from tao_ops.local.client import AirflowClient
from tao_ops.local.environment import MARK
from tao_ops.local.follow import Followed, begin, follow
from tao_ops.local.state import Services
from tao_ops.local.view import View
from tao_ops.settings import PROJECT, Settings
from tao_ops.tables import TABLES
from tao_ops.turn import Turn, last_complete_turn

NAME, DAG, ITEMS = "small", "flywheel_small", 6
STAGES = ["ingest", "validate", "generate", "score", "update", "evaluate", "gate", "register"]


class KillOnce:
    """Kills a stage's process in mid-work, the first time that its log shows that it samples."""

    def __init__(self, client: AirflowClient, home: Path, stage: str, sign: str) -> None:
        self._client, self._home, self._stage, self._sign = client, home, stage, sign
        self.killed: list[int] = []

    def __call__(self) -> None:
        if self.killed:
            return
        for run in self._client.runs(DAG):
            for task in self._client.tasks(DAG, run["dag_run_id"]):
                if task["state"] == "running" and task["task_id"].endswith(self._stage):
                    log = self._client.log(DAG, run["dag_run_id"], task)
                    if any(self._sign in line.text for line in log if line.of_stage):
                        self._kill()

    def _kill(self) -> None:
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
                if {"tao_ops.cli", self._stage, NAME} <= set(words) and process.environ()[MARK] == str(self._home):
                    process.kill()
                    self.killed.append(process.pid)
            except (psutil.Error, KeyError):
                continue


def shown(turn: Turn) -> dict[str, Any]:
    command = [sys.executable, "-m", "tao_ops.cli", "turn", "show", NAME, "--turn", turn.key, "--json"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def run_turn(services: Services, flywheel: Flywheel, turn: Turn) -> tuple[Followed, list[str], dict[str, int]]:
    """Follow the turn, ``generate`` killed once: how it ended, its first attempt's log, attempts by task."""
    with services.client() as client, View(Console()) as view:
        run_id = begin(client, flywheel, turn, print)
        kill = KillOnce(client, services.home, "generate", "started in")

        def check() -> None:
            services.require_alive()
            kill()

        followed = follow(client, flywheel, run_id, view, check=check, limit_s=900)
        tasks = client.tasks(DAG, run_id)
        generate = next(task for task in tasks if task["task_id"] == "explore.generate")
        log = [line.text for line in client.log(DAG, run_id, generate | {"try_number": 1})]
        assert kill.killed, "generate was never seen at work"
        return followed, log, {str(task["task_id"]): int(task["try_number"]) for task in tasks}


@pytest.mark.timeout(1080)
def test_a_turn_survives_the_kill_of_a_stage(small: Flywheel, start_airflow: Callable[[], Services]) -> None:
    turn = last_complete_turn(NAME, schedule=small.schedule, timezone=small.timezone)
    began = time.monotonic()
    followed, log, attempts = run_turn(start_airflow(), small, turn)
    print(f"{time.monotonic() - began:.0f} s with Airflow's start")

    assert (followed.state, followed.failed) == ("success", None)
    assert any("stage generate was killed by SIGKILL" in line and "its retry starts over" in line for line in log)
    assert attempts.pop("explore.generate") == 2
    assert attempts.pop("release", 0) == 0  # the gate has the last word
    assert set(attempts.values()) == {1}

    told = shown(turn)
    assert (told["flywheel"], told["turn"], list(told["stages"])) == (NAME, turn.key, STAGES)
    (benchmark,) = told["report"]["benchmarks"]
    assert (benchmark["name"], benchmark["n"], benchmark["primary"]) == ("tickets", ITEMS, True)
    assert all(0.0 <= benchmark[arm] <= 1.0 for arm in ("champion", "control", "candidate"))
    assert told["verdict"]["decision"] in ("promote", "reject", "undecided") and told["verdict"]["reasons"]
    assert (told["release"]["version"], told["release"]["alias"]) == (
        1,
        "champion" if told["verdict"]["decision"] == "promote" else None,
    )
    assert_each_row_once(turn, told["stages"])


def assert_each_row_once(turn: Turn, stages: dict[str, Any]) -> None:
    lake, counts = Lake(Settings.from_env().lake), {}
    for name, table in TABLES.items():
        rows = lake.read(table, flywheel=turn.flywheel, turn=turn.key)
        keys = rows.group_by([*table.partition, *(k for k in table.key if k not in table.partition)]).aggregate([])
        assert keys.num_rows == rows.num_rows, f"{name} holds rows twice"
        assert len(set(rows["run_id"].to_pylist())) <= 1
        counts[name] = rows.num_rows
    written = {"ingest": "queries", "validate": "prompts", "generate": "responses", "score": "rewards"}
    for stage, name in written.items():
        assert counts[name] == stages[stage]["rows_out"], name
    assert counts["responses"] == counts["rewards"] > 0
    assert counts["turns"] == len(STAGES)
