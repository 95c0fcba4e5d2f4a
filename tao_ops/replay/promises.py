"""What differs between then and now, and which stages promise the same result bit for bit."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tao_ops import backends, lineage
from tao_ops.config import Flywheel
from tao_ops.errors import EngineError
from tao_ops.lineage import environment, made_of, recipe
from tao_ops.replay.stored import STAGES
from tao_ops.settings import Settings
from tao_ops.stages import Stage

_NAMED = 8
"""Packages that are named; of more their number is told."""
_HARDWARE = {"cpu": "processor", "cores": "cores", "threads": "OMP_NUM_THREADS", "gpus": "GPUs"}


@dataclass(frozen=True)
class Change:
    """Something that is not as it was when the version was made.

    Attributes:
        stages: those that it matters to; none of them: all.
    """

    what: str
    then: str
    now: str
    stages: tuple[Stage, ...] = ()

    def sentence(self) -> str:
        """As a warning says it."""
        of = f" of {', '.join(stage.value for stage in self.stages)}" if self.stages else ""
        return f"{self.what}{of}: then {self.then}, now {self.now}"


def changes(told: Mapping[str, Any], turn: str, candidate: Path, settings: Settings) -> list[Change]:
    """What is another now, of a manifest's ``lineage``: code, packages, machine, engine, key, files.

    Args:
        candidate: the folder that the recipe lies in.
    """
    found = [
        *_of_stages("code", "code_version", told, turn, lineage.code_version()),
        # A stage may have run before the YAML was changed for the next one: the recipe is the update's.
        *_of_stages("configuration", "config_digest", told, turn, told["config_digest"]),
        *_packages(told, candidate / recipe.FOLDER / recipe.PACKAGES),
        Change("Python", told["python"], platform.python_version()),
        Change("architecture", told["machine"], platform.machine()),
        Change("engine", _said(told["engine"]["name"]), _said(_engine())),
        Change("key of the hashes", _said(told["hash_key"]), _said(made_of.key_check(settings))),
    ]
    now = environment.hardware()
    found += [Change(name, _said(told["hardware"].get(key)), _said(now[key])) for key, name in _HARDWARE.items()]
    found += [
        Change("file", name, "another, or none") for name in recipe.changed(told["recipe"]["files"], settings.include)
    ]
    return [one for one in found if one.then != one.now]


def broken(stage: Stage, flywheel: Flywheel, changed: Sequence[Change]) -> str | None:
    """Why a stage does not promise what it gave then, bit for bit, from the same input; None where it does."""
    if mine := [one for one in changed if not one.stages or stage in one.stages]:
        return "another " + ", ".join(dict.fromkeys(one.what for one in mine))
    if (server := _server(stage, flywheel)) is not None:
        return f"it asks {server}, which promises nothing"
    if stage is Stage.GATE and flywheel.gate.guards.timed:
        return "who is slower, the clock says"
    if environment.hardware()["gpus"] and _runs_a_model(stage, flywheel):
        return "on a GPU the order of sums is not fixed"
    return None


def _of_stages(what: str, column: str, told: Mapping[str, Any], turn: str, now: str) -> list[Change]:
    """Changes of what the table ``turns`` knows of each stage; of the last ones, what the manifest says."""
    known = {row["stage"]: row[column] for row in told["stages"] if row["turn"] == turn}
    by_then: dict[str, list[Stage]] = {}
    for stage in STAGES:
        by_then.setdefault(str(known.get(stage.value, told[column])), []).append(stage)
    return [Change(what, then, now, tuple(stages)) for then, stages in by_then.items()]


def _packages(told: Mapping[str, Any], lock: Path) -> list[Change]:
    now = environment.package_lock()
    if told["packages_digest"] == environment.lock_digest(now):
        return []
    then = lock.read_text(encoding="utf-8").split() if lock.is_file() else []
    if not then:
        return [Change("packages", told["packages_digest"], environment.lock_digest(now))]
    gone, fresh = sorted(set(then) - set(now)), sorted(set(now) - set(then))
    return [Change("packages", _some(gone), _some(fresh))]


def _some(lines: Sequence[str]) -> str:
    more = f" and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
    return (", ".join(lines[:_NAMED]) or "none of them") + more


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _engine() -> str | None:
    try:
        return backends.engine_name()
    except EngineError:
        return None


def _server(stage: Stage, flywheel: Flywheel) -> str | None:
    """The server that a stage's result depends on."""
    tasks = flywheel.tasks.values()
    asked: list[Any] = []
    if stage is Stage.GENERATE:
        asked = [flywheel.generate]
    elif stage in (Stage.SCORE, Stage.UPDATE):  # the holdout of a training is scored too
        asked = [one for task in tasks for one in task.scorers]
    elif stage is Stage.EVALUATE:
        asked = [one.judge for task in tasks for one in task.benchmarks if one.judge is not None]
    servers = [one.server for one in asked if getattr(one, "server", None) is not None]
    return str(servers[0].model) if servers else None


def _runs_a_model(stage: Stage, flywheel: Flywheel) -> bool:
    if stage is Stage.SCORE:
        scorers = [one for task in flywheel.tasks.values() for one in task.scorers]
        return any(getattr(one, "model", None) or getattr(one, "embedding", None) for one in scorers)
    return stage in (Stage.GENERATE, Stage.UPDATE, Stage.EVALUATE)
