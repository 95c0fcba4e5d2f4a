"""Every stage of a turn of the example, with the real model, killed by SIGKILL at seeded moments and run again.

A cell is one kill: the stage's whole process group is killed after a random share of the time that the undisturbed
stage took, the same command is run again, and the tables are compared with those before: each row once, as many as
there were.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from tao_ops.config import load_flywheel
from tao_ops.example.logs import write_logs
from tao_ops.lake import Lake
from tao_ops.launch.stage import stage_command
from tao_ops.local.environment import empty_home
from tao_ops.settings import PROJECT, Settings
from tao_ops.stages import SHARDED, Stage
from tao_ops.tables import TABLES, TURNS
from tao_ops.turn import Turn, parse_instant
from trials.record import Cells

KILLS = 16
RUN_ID = "stage-kills"
LIMIT_S = 600


def run() -> bool:
    """Make one turn, then kill and repeat its stages; true where every repeat left the tables as they were."""
    cells = Cells("stage_kills")
    missing = [seed for seed in range(1, KILLS + 1) if not cells.known(seed)]
    if missing:
        with tempfile.TemporaryDirectory(prefix="tao-kills-") as scratch:
            turn = _SmallTurn(Path(scratch))
            for seed in missing:
                cells.keep(seed, turn.kill(list(Stage)[(seed - 1) % len(Stage)], seed), _outcome)
                print(f"kill {seed}: {json.dumps(cells.cells[str(seed)])}", flush=True)
    print(f"stage_kills: {_outcome(cells.cells)}")
    return all(cell["held"] for cell in cells.cells.values())


def _outcome(cells: dict[str, dict[str, Any]]) -> str:
    held = sum(cell["held"] for cell in cells.values())
    killed = sum(cell["killed"] for cell in cells.values())
    return f"{killed} of {len(cells)} stages died by the kill; after the repeat {held} left each row once, none lost"


class _SmallTurn:
    """A turn of few queries in a home of its own, run once undisturbed."""

    def __init__(self, scratch: Path) -> None:
        settings = Settings.from_env()
        shutil.copytree(settings.include, scratch / "include")
        _make_small(scratch / "include")
        self._env = empty_home(scratch / "home") | {
            "TAO_INCLUDE": str(scratch / "include"),
            "TAO_LAKE": str(scratch / "lake"),
            "TAO_HASH_KEY": "a key for this trial",
        }
        os.environ.update(self._env)
        flywheel = load_flywheel("tickets")
        today = datetime.now(UTC).date()
        folder = scratch / "home" / "logs" / "tickets"
        [log] = write_logs(folder, seed=7, today=today, system_prompt=flywheel.prompt("tickets"), days=1, per_day=16)
        self._day, self._lake = log.name[:10], Lake(str(scratch / "lake"))
        self._seconds: dict[Stage, float] = {}
        for stage in Stage:
            started = time.monotonic()
            subprocess.run(self._command(stage, RUN_ID), env=self._env, cwd=PROJECT, timeout=LIMIT_S, check=True)
            self._seconds[stage] = time.monotonic() - started

    def kill(self, stage: Stage, seed: int) -> dict[str, Any]:
        """Kill ``stage`` in mid-work, run it again, and say how the tables compare with those before."""
        before = self._tables()
        if stage is Stage.GENERATE:  # else it would take the responses that are there
            start = parse_instant(self._day)
            self._lake.delete(TURNS, turn=Turn("tickets", start, start), stage=[stage.value])
        # A shard that a run has finished is not run again: another run is what does it again.
        command = self._command(stage, f"{RUN_ID}-{seed}" if stage in SHARDED else RUN_ID)
        after_s = random.Random(seed).uniform(0.05, 0.95) * self._seconds[stage]
        process = subprocess.Popen(
            command, env=self._env, cwd=PROJECT, start_new_session=True, stdout=subprocess.DEVNULL
        )
        killed = False
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            killed = process.wait() == -signal.SIGKILL
        midway = self._tables()
        again = subprocess.run(command, env=self._env, cwd=PROJECT, timeout=LIMIT_S, check=False)
        after = self._tables()
        held = again.returncode == 0 and after == before and all(one["repeated"] == 0 for one in midway.values())
        return {
            "stage": stage.value,
            "after_s": round(after_s, 2),
            "killed": killed,
            "exit": again.returncode,
            "rows": {name: one["rows"] for name, one in after.items()},
            "held": held,
        }

    def _command(self, stage: Stage, run_id: str) -> list[str]:
        return stage_command(stage.value, "tickets", self._day, run_id, python=sys.executable)

    def _tables(self) -> dict[str, dict[str, int]]:
        found = {}
        for name, table in TABLES.items():
            rows = self._lake.read(table)
            keys = list(dict.fromkeys([*table.partition, *table.key]))
            distinct = rows.group_by(keys).aggregate([]).num_rows
            found[name] = {"rows": rows.num_rows, "repeated": rows.num_rows - distinct}
        return found


def _make_small(include: Path) -> None:
    path = include / "flywheels" / "tickets.yaml"
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    told["update"] |= {"min_reward": 0.0, "min_rows": 1, "epochs": 1}
    told["generate"] = {"policy": "uniform"}  # as many rows each time
    for strategy in told["tasks"]["tickets"]["strategies"]:
        strategy["samples"] = min(strategy["samples"], 3)
    path.write_text(yaml.safe_dump(told), encoding="utf-8")
    items = include / "benchmarks" / "tickets" / "items.jsonl"
    items.write_text("".join(items.read_text(encoding="utf-8").splitlines(keepends=True)[:12]), encoding="utf-8")
