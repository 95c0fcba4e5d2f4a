"""One home of the trial: its flywheel, its lake, its stages as processes, and what a reader finds in its tables."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from tao_ops.example.templates import INCLUDE
from tao_ops.lake import open_lake
from tao_ops.launch.stage import stage_command
from tao_ops.local.environment import empty_home
from tao_ops.settings import PROJECT
from tao_ops.stages import Stage
from tao_ops.tables import CLUSTERS, PROMPTS, QUARANTINE, QUERIES, TURNS, Table
from trials.ingest_kills.traffic import COLUMNS, DAYS, arrivals

LIMIT_S = 300
AT_COMMIT_S = 0.02
"""A kill at a commit falls at most this long after it."""
_FLYWHEEL = "tickets"
_TABLES = (QUERIES, QUARANTINE, PROMPTS, CLUSTERS, TURNS)
_OF_A_RUN = ("run_id", "inputs", "output_version", "seconds", "finished_at", "code_version")
"""Columns that differ between two runs of the same work."""


@dataclass(frozen=True)
class State:
    """What a reader finds.

    Attributes:
        rows: of each table, in the order of its key, without what differs between runs.
        faults: rows that are there twice, partitions with rows of several runs.
    """

    rows: dict[str, pa.Table]
    faults: list[str]

    def apart(self, *others: "State") -> list[str]:
        """The tables that are equal to none of the others'."""
        return [
            f"{name}: {len(rows)} rows, not those expected ({' or '.join(str(len(one.rows[name])) for one in others)})"
            for name, rows in self.rows.items()
            if not any(rows.equals(one.rows[name]) for one in others)
        ]


class Home:
    """A home with an empty lake."""

    def __init__(self, folder: Path, database_url: str, queries_a_day: int) -> None:
        self._folder, self._log = folder, folder / "stage.log"
        shutil.copytree(INCLUDE, folder / "include")
        _name_sources(folder / "include" / "flywheels" / f"{_FLYWHEEL}.yaml")
        self._arrivals = iter(arrivals(queries_a_day))
        self._lake = open_lake(str(folder / "lake"))
        self._env = empty_home(folder) | {
            "TAO_INCLUDE": str(folder / "include"),
            "TAO_LAKE": self._lake.root,
            "TAO_HASH_KEY": "a key for this trial",
            "TAO_DATABASE_URL": database_url,
        }

    def let_files_arrive(self) -> None:
        """Write the logs that come next."""
        for name, content in next(self._arrivals).items():
            path = self._folder / "logs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def finish(self, stage: Stage, day: int, run_id: str) -> float:
        """Run a stage to its end; returns the seconds from its first line on.

        Raises:
            RuntimeError: it failed, or did not end in :data:`LIMIT_S`; the message is its log.
        """
        process, began = self._start(stage, day, run_id)
        _wait(process, lambda: False, LIMIT_S)
        if _kill(process) != 0:
            raise RuntimeError(f"{stage} of day {day}: {self._log.read_text(encoding='utf-8')}")
        return time.monotonic() - began

    def kill(self, stage: Stage, day: int, run_id: str, seconds: float, rng: random.Random) -> dict[str, Any] | None:
        """Kill a stage that takes ``seconds``; what it had committed by then, or None where it ended before.

        Raises:
            RuntimeError: it failed by itself; the message is its log.
        """
        at_commit = rng.choice((None, 1, 2))
        delay = rng.uniform(0, seconds if at_commit is None else AT_COMMIT_S)
        before = self._commits()
        process, began = self._start(stage, day, run_id)
        if at_commit is not None:
            _wait(process, lambda: (self._commits() - before).total() >= at_commit, LIMIT_S)
        _wait(process, lambda: False, delay)
        after_s = time.monotonic() - began
        code = _kill(process)
        if code not in (0, -signal.SIGKILL):
            raise RuntimeError(f"{stage} of day {day}: {self._log.read_text(encoding='utf-8')}")
        committed = sorted((self._commits() - before).elements())
        told = {"stage": stage.value, "day": day, "after_s": round(after_s, 3), "committed": committed}
        return told if code else None

    def state(self) -> State:
        """Read every table."""
        found = {table: self._lake.read(table) for table in _TABLES}
        faults = [fault for table, rows in found.items() for fault in _faults(table, rows)]
        return State({table.name: self._comparable(table, rows) for table, rows in found.items()}, faults)

    def unnamed_files(self) -> int:
        """Files of rows that no commit names: killed processes left them."""
        found = 0
        for table in _TABLES:
            folder = self._folder / "lake" / table.name
            told = [json.loads(line) for log in folder.glob("_delta_log/*.json") for line in log.open("rb")]
            named = {folder / unquote(action["add"]["path"]) for action in told if "add" in action}
            found += len(set(folder.rglob("part-*.parquet")) - named)
        return found

    def _start(self, stage: Stage, day: int, run_id: str) -> tuple["subprocess.Popen[bytes]", float]:
        """The stage's process, and the time of its first line."""
        command = stage_command(stage.value, _FLYWHEEL, f"{DAYS[day]:%Y-%m-%d}", run_id, python=sys.executable)
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                command, env=self._env, cwd=PROJECT, start_new_session=True, stdout=log, stderr=subprocess.STDOUT
            )
        _wait(process, lambda: f"{stage.value}: {_FLYWHEEL}".encode() in self._log.read_bytes(), LIMIT_S)
        return process, time.monotonic()

    def _commits(self) -> Counter[str]:
        lake = self._folder / "lake"
        return Counter({table.name: len([*lake.glob(f"{table.name}/_delta_log/*.json")]) for table in _TABLES})

    def _comparable(self, table: Table, rows: pa.Table) -> pa.Table:
        """The rows without what differs between runs and homes, sorted."""
        if table is QUARANTINE:
            rows = _replaced(rows, "position", pc.replace_substring(rows.column("position"), str(self._folder), ""))
        if table is TURNS:
            metrics = [json.loads(text) for text in rows.column("metrics").to_pylist()]
            kept = [{name: value for name, value in one.items() if name != "data_docs"} for one in metrics]
            rows = _replaced(rows, "metrics", pa.array([json.dumps(one, sort_keys=True) for one in kept], pa.string()))
        rows = rows.drop_columns([name for name in rows.schema.names if name in _OF_A_RUN])
        return rows.sort_by([(name, "ascending") for name in _keys(table)])


def _replaced(rows: pa.Table, name: str, column: Any) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), name, column)


def _keys(table: Table) -> list[str]:
    return list(dict.fromkeys([*table.partition, *table.key]))


def _faults(table: Table, rows: pa.Table) -> list[str]:
    twice = len(rows) - len(rows.group_by(_keys(table)).aggregate([]))
    runs = rows.group_by(list(table.partition)).aggregate([("run_id", "count_distinct")])
    mixed = sum(count > 1 for count in runs.column("run_id_count_distinct").to_pylist())
    found = {"rows are there twice": twice, "partitions hold rows of several runs": mixed}
    return [f"{table.name}: {count} {words}" for words, count in found.items() if count]


def _wait(process: "subprocess.Popen[bytes]", until: Callable[[], bool], seconds: float) -> None:
    """Wait until something is so, the process has ended, or the time is over."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and not until() and time.monotonic() < deadline:
        time.sleep(0.002)


def _kill(process: "subprocess.Popen[bytes]") -> int:
    """Kill the process and its children where it has not ended; how it ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait(LIMIT_S)


def _name_sources(path: Path) -> None:
    """Make the example's flywheel read a gateway's logs, and a warehouse's export of the same queries."""
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    logs = {"format": "chat_completions", "path": "${TAO_HOME}/logs/gateway/*", "namespace": "shop"}
    export = {"format": "table", "path": "${TAO_HOME}/logs/warehouse/*", "namespace": "shop"}
    told["sources"] = [logs, {**export, "columns": {name: name for name in COLUMNS}}]
    path.write_text(yaml.safe_dump(told), encoding="utf-8")
