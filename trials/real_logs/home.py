"""A home with three flywheels of one data set, and their stages as processes."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tao_ops.backends import embedded_model
from tao_ops.files import write_json
from tao_ops.lake import open_lake
from tao_ops.launch.stage import stage_command
from tao_ops.local.environment import empty_home
from tao_ops.settings import PROJECT, Settings
from tao_ops.stages import Stage
from tao_ops.tables import Table
from trials.real_logs.data import COLUMNS, DataSet, asked, write

RUN_ID = "real-logs"
NEAR = 0.9
"""Least similarity of questions that are one."""
OVERLAPPING = {
    "gateway/day.jsonl": (0.0, 0.4),
    "gateway/export.jsonl.gz": (0.3, 0.6),
    "gateway/export.jsonl.zst": (0.5, 0.8),
    "warehouse/export.parquet": (0.1, 0.5),
    "litellm/export.jsonl": (0.65, 1.0),
}
"""The files of a day that is logged by several, and the part of the day that each holds."""

_LIMIT_S = 600
# Started by a small process, since a child's peak is never below what its parent held when it started it.
_MEASURED = """
import os, sys
child = os.spawnv(os.P_NOWAIT, sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "w") as peak:
    peak.write(str(usage.ru_maxrss))
sys.exit(status != 0)
"""


@dataclass(frozen=True)
class Attempt:
    """One attempt at a stage: what it says that it did, and what it took as seen from outside."""

    report: dict[str, Any]
    wall_seconds: float
    peak_mib: float


class Home:
    """The flywheels: one reads files that overlap, one a single file of the same day, one the same in two days.

    Args:
        tokens: whether the suite limits the model's tokens too, which needs the embedded model.
    """

    def __init__(self, folder: Path, data: DataSet, *, tokens: bool) -> None:
        self.data, self.folder, self.include = data, folder, folder / "include"
        self.overlapping, self.plain, self.two_days = (f"{data.name}{end}" for end in ("", "_plain", "_two_days"))
        self.lake = open_lake(str(folder / "lake"))
        self._write_include(tokens)

    def log(self, seed: int) -> int:
        """Write the logs of all flywheels; returns how many lines and rows the overlapping files have together."""
        day, logs, lines = asked(self.data, seed, days=1), self.folder / "logs", 0
        for name, (start, end) in OVERLAPPING.items():
            part = day[int(start * len(day)) : int(end * len(day))]
            write(logs / self.overlapping / name, part)
            lines += len(part)
        write(logs / self.plain / "gateway" / "day.jsonl", day)
        write(logs / self.two_days / "gateway" / "days.jsonl", asked(self.data, seed, days=2))
        return lines

    @property
    def environment(self) -> dict[str, str]:
        """What the stages are told by it, but for the database."""
        return {
            "TAO_HOME": str(self.folder),
            "TAO_INCLUDE": str(self.include),
            "TAO_LAKE": self.lake.root,
            "TAO_HASH_KEY": "a key for this trial",
        }

    def run(self, stage: Stage, flywheel: str, turn: str, database_url: str) -> Attempt:
        """Run a stage to its end, as a process."""
        told, log = self.folder / "report.json", self.folder / "stage.log"
        command = stage_command(stage.value, flywheel, turn, RUN_ID, report=told, python=sys.executable)
        env = empty_home(self.folder) | self.environment | {"TAO_DATABASE_URL": database_url}
        peak, started = self.folder / "peak.txt", time.monotonic()
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-S", "-c", _MEASURED, str(peak), *command],
                env=env,
                cwd=PROJECT,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            process.wait(_LIMIT_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode:
            raise RuntimeError(f"{stage} {flywheel} {turn} failed: {log.read_text(encoding='utf-8')}")
        seconds, kib = time.monotonic() - started, int(peak.read_text(encoding="utf-8"))
        return Attempt(json.loads(told.read_text(encoding="utf-8")), seconds, kib / 1024)

    def rows(self, table: Table, flywheel: str) -> list[dict[str, Any]]:
        """A flywheel's rows without what differs between flywheels and runs, in an order of their own."""
        kept = [name for name in table.schema.names if name not in ("flywheel", "run_id")]
        return sorted(self.lake.read(table, columns=kept, flywheel=flywheel).to_pylist(), key=repr)

    def _write_include(self, tokens: bool) -> None:
        flywheels, exam, key = self.include / "flywheels", self.include / "exam", self.data.key
        for folder in (flywheels, exam):
            folder.mkdir(parents=True)
        (self.include / "prompt.txt").write_text(f'Answer with strict JSON: {{"{key}": …}}\n', encoding="utf-8")
        write_json(self.include / "expectations.json", {"name": self.data.name, "expectations": _suite(tokens)})
        items = [
            {"item_id": f"i{n}", "messages": [{"role": "user", "content": question}], "reference": {key: answer}}
            for n, (question, answer) in enumerate(self.data.exam)
        ]
        (exam / "items.jsonl").write_text("".join(f"{json.dumps(item)}\n" for item in items), encoding="utf-8")
        for name in (self.overlapping, self.plain, self.two_days):
            (flywheels / f"{name}.yaml").write_text(yaml.safe_dump(self._flywheel(name)), encoding="utf-8")

    def _flywheel(self, name: str) -> dict[str, Any]:
        def source(folder: str, **more: Any) -> dict[str, Any]:
            return {"path": f"${{TAO_HOME}}/logs/{name}/{folder}/*", "namespace": self.data.name, **more}

        sources = [source("gateway")]
        if name == self.overlapping:
            sources.append(source("warehouse", format="table", columns={column: column for column in COLUMNS}))
            sources.append(source("litellm", format="litellm"))
        task = {
            "prompt": "prompt.txt",
            "expectations": "expectations.json",
            "near_duplicates": NEAR,
            # Without names, whatever model of them is installed: the same figures everywhere.
            "privacy": {"names": False, "regions": ["US", "GB"]},
            "strategies": [{"name": "plain", "samples": 4}],
            "scorers": [{"name": "json_schema", "keys": [self.data.key]}],
            "benchmarks": [{"name": "exam", "path": "exam", "primary": True}],
        }
        rest = {"validate": {"holdout": 0.1}, "evaluate": {"control": None}}
        return {"name": name, "sources": sources, "tasks": {self.data.name: task}, **rest}


def embedded_model_is_there() -> bool:
    """Whether the embedded model has been converted already."""
    return (Settings.from_env().cache / "models" / embedded_model.NAME).is_dir()


def _suite(tokens: bool) -> list[dict[str, Any]]:
    between = "expect_column_values_to_be_between"
    rows: list[tuple[str, dict[str, Any]]] = [
        (between, {"column": "characters", "min_value": 15, "max_value": 300}),
        ("expect_column_values_to_be_in_set", {"column": "language", "value_set": ["en", "und"]}),
        ("expect_column_values_to_be_in_set", {"column": "empty", "value_set": [False]}),
    ]
    if tokens:
        rows.append((between, {"column": "tokens", "max_value": 64}))
    day: list[tuple[str, dict[str, Any]]] = [
        (between, {"column": "rows_ratio", "min_value": 0.5, "max_value": 2}),
        (between, {"column": "repeated_share", "max_value": 0.5}),
        (between, {"column": "empty_share", "max_value": 0.01}),
        (between, {"column": "quarantine_share", "max_value": 0.05}),
        (between, {"column": "language_drift", "max_value": 0.1}),
        (between, {"column": "length_drift", "max_value": 0.1}),
    ]
    warned = [{"type": kind, "kwargs": kwargs, "severity": "warning"} for kind, kwargs in day]
    return [{"type": kind, "kwargs": kwargs} for kind, kwargs in rows] + warned
