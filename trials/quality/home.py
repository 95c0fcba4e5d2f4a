"""A home of the flywheel's own, whose stages run as processes, and which can be copied with all that it holds."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from tao_ops.config import Flywheel, load_flywheel
from tao_ops.database import start_embedded
from tao_ops.example.logs import write_logs
from tao_ops.files import write_json
from tao_ops.lake import Lake
from tao_ops.launch.process import Process
from tao_ops.launch.stage import stage_command
from tao_ops.local.environment import empty_home
from tao_ops.settings import PROJECT, Settings
from tao_ops.stages import Stage
from tao_ops.tables import EVALUATIONS
from tao_ops.turn import Turn
from trials.quality.cell import data_digest
from trials.quality.settings import FLYWHEEL, INCLUDE, TODAY

LIMIT_S = 3600.0
_DONE = "done.json"
_HASH_KEY = "a key for this trial"
_REFUSALS = ("add samples or a strategy", "no checkpoint was within the limits", "nothing to learn")
"""Words of the errors of ``update`` that tell of its rewards, and not of the machine."""


class StageFailed(Exception):
    """A stage ended with an error; the text is its last line."""

    @property
    def refused(self) -> bool:
        """Whether ``update`` found nothing to learn, or nothing that may be kept: a result, and no accident."""
        return any(words in str(self) for words in _REFUSALS)


class Home:
    """``include/``, ``home/`` and ``lake/`` below one folder, and what each stage reported there.

    Attributes:
        data: the digest of the example's data that its logs were made of.
        done: by turn and stage, what a finished one reported, with its wall seconds.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lake = Lake(str(folder / "lake"))
        told = _read(folder / _DONE)
        self.settings: dict[str, Any] = told.get("settings", {})
        self.data: str = told.get("data", "")
        self.done: dict[str, dict[str, dict[str, Any]]] = told.get("done", {})

    @classmethod
    def new(cls, folder: Path, settings: Mapping[str, Any]) -> "Home":
        """An empty home with the week's logs of the settings' seed."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        home = cls(folder)
        home.data = data_digest()
        home.configure(settings)
        prompt = home.flywheel().prompt(FLYWHEEL)
        logs = folder / "home" / "logs" / FLYWHEEL
        write_logs(logs, seed=settings["seed"], today=TODAY, system_prompt=prompt)
        return home

    def copy(self, folder: Path, settings: Mapping[str, Any] | None = None) -> "Home":
        """The same home, champion and tables elsewhere, under other settings where they are given.

        Models are not copied: those that the champion's record names stay where they are.
        """
        if (self.folder / "home" / "postgres").is_dir():
            start_embedded(self.folder / "home").stop()  # what a killed stage left running
        fresh = folder.with_name(f".{folder.name}.part")
        for path in (folder, fresh):
            shutil.rmtree(path, ignore_errors=True)
        fresh.parent.mkdir(parents=True, exist_ok=True)
        # Not by shutil: PostgreSQL's files keep their owner.
        subprocess.run(["cp", "-a", "--reflink=auto", str(self.folder), str(fresh)], check=True)
        for model in (fresh / "lake" / "artifacts").glob("*/*/*/candidate-*"):
            shutil.rmtree(model)
        fresh.rename(folder)
        home = Home(folder)
        if settings is not None:
            home.configure(settings)
        return home

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Take other settings from here on."""
        include = self.folder / "include"
        shutil.copytree(INCLUDE, include, dirs_exist_ok=True)
        told = yaml.safe_dump(dict(settings))
        (include / "flywheels" / f"{FLYWHEEL}.yaml").write_text(told, encoding="utf-8")
        self.settings = dict(settings)
        self._write()

    def run(self, stage: Stage, day: str, run_id: str) -> dict[str, Any]:
        """Run one stage to its end, unless it is done here; its report with ``wall_seconds``.

        An update that refuses says why under ``refused``, and reports no more.

        Raises:
            StageFailed: it ended with another error.
        """
        done = self.done.setdefault(day, {})
        if stage.value not in done:
            started = time.monotonic()
            try:
                told = self._stage(stage, day, run_id)
            except StageFailed as failure:
                if stage is not Stage.UPDATE or not failure.refused:
                    raise
                told = {"refused": str(failure)}
            done[stage.value] = {**told, "wall_seconds": round(time.monotonic() - started, 1)}
            self._write()
        return done[stage.value]

    def again(self, stage: Stage, day: str, run_id: str) -> dict[str, Any]:
        """Run one stage though it was done before."""
        self.undo(day, stage)
        return self.run(stage, day, run_id)

    def undo(self, day: str, *stages: Stage) -> None:
        """Take stages for not done; what they wrote stays until they are run again."""
        for stage in stages:
            self.done.get(day, {}).pop(stage.value, None)
        self._write()

    def flywheel(self) -> Flywheel:
        """The settings as the stages read them.

        Raises:
            ConfigError: they cannot be used.
        """
        where = Settings.from_env()
        return load_flywheel(FLYWHEEL, replace(where, include=self.folder / "include"))

    def answers(self, day: str, benchmark: str) -> dict[str, str]:
        """By arm, ``1`` or ``0`` for each item of the benchmark in the order of their ids: right or wrong."""
        turn, columns = turn_of(day), ["arm", "item_id", "score"]
        where: dict[str, Any] = {"flywheel": turn.flywheel, "turn": turn.key, "benchmark": benchmark}
        rows = self.lake.read(EVALUATIONS, columns=columns, **where).to_pylist()
        rows.sort(key=lambda row: str(row["item_id"]))
        return {
            arm: "".join(str(int(row["score"])) for row in rows if row["arm"] == arm)
            for arm in sorted({str(row["arm"]) for row in rows})
        }

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _stage(self, stage: Stage, day: str, run_id: str) -> dict[str, Any]:
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        env = empty_home(self.folder / "home") | {
            "TAO_INCLUDE": str(self.folder / "include"),
            "TAO_LAKE": self.lake.root,
            "TAO_HASH_KEY": _HASH_KEY,
            "PYTHONUNBUFFERED": "1",
        }
        command = stage_command(stage.value, FLYWHEEL, day, run_id, report=report, python=sys.executable)
        ended = Process(command, env=env, cwd=str(PROJECT)).follow(
            lambda line: print(f"  {line}", flush=True), limit_s=LIMIT_S
        )
        if ended.timed_out:
            raise StageFailed(f"{stage.value} took more than {LIMIT_S:.0f} s")
        if ended.code:
            raise StageFailed(ended.last("error: ") or f"{stage.value} ended with {ended.signal_name or ended.code}")
        return _read(report)

    def _write(self) -> None:
        write_json(self.folder / _DONE, {"settings": self.settings, "data": self.data, "done": self.done})


def turn_of(day: str) -> Turn:
    """The turn of a day, as the example's schedule has it."""
    start = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return Turn(FLYWHEEL, start, start + timedelta(days=1))


def _read(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return told
