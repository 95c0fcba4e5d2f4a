"""A flywheel's YAML as typed values; every error names the file and the key."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from croniter import croniter
from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator

from tao_ops.config.base import Strict
from tao_ops.config.gate import GateConfig
from tao_ops.config.scorers import JudgeConfig, RewardModelConfig, same_folder
from tao_ops.config.serve import ServeConfig
from tao_ops.config.sources import SourceConfig
from tao_ops.config.stages import (
    EngineConfig,
    EvaluateConfig,
    GenerateConfig,
    IngestConfig,
    RetentionConfig,
    ValidateConfig,
)
from tao_ops.config.strategies import StrategyKind
from tao_ops.config.tasks import TaskConfig
from tao_ops.config.update import UpdateConfig
from tao_ops.errors import ConfigError
from tao_ops.settings import Settings

_VARIABLE = re.compile(r"\$\{(\w+)\}")


class Flywheel(Strict):
    """One YAML file of ``include/flywheels/``."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    description: str = ""
    model: str = "embedded"
    """``embedded``, or a folder with a model in the Hugging Face layout."""
    seed: int = Field(default=1, ge=0, le=2**31 - 1)
    schedule: str = "0 0 * * *"
    timezone: str = "UTC"
    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    tasks: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")], TaskConfig] = Field(min_length=1)
    ingest: IngestConfig = IngestConfig()
    validate_: ValidateConfig = Field(default=ValidateConfig(), alias="validate")
    engine: EngineConfig = EngineConfig()
    generate: GenerateConfig = GenerateConfig()
    update: UpdateConfig = UpdateConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    gate: GateConfig = GateConfig()
    serve: ServeConfig = ServeConfig()
    retention: RetentionConfig = RetentionConfig()

    _include: Path = PrivateAttr()

    @field_validator("schedule")
    @classmethod
    def _cron(cls, value: str) -> str:
        if not croniter.is_valid(value) or len(value.split()) != 5:
            raise ValueError(f"{value!r} is not a cron expression of five fields")
        return value

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{value!r} is not a time zone") from None
        return value

    @model_validator(mode="after")
    def _one_primary(self) -> Self:
        names = [b.name for t in self.tasks.values() for b in t.benchmarks]
        if len(set(names)) != len(names):
            raise ValueError("benchmarks of a flywheel need different names")
        if sum(b.primary for t in self.tasks.values() for b in t.benchmarks) != 1:
            raise ValueError("exactly one benchmark must be 'primary: true'")
        return self

    @model_validator(mode="after")
    def _known_control(self) -> Self:
        control = self.evaluate.control
        for name, task in self.tasks.items():
            found = next((s for s in task.strategies if s.name == control), None)
            if control is not None and found is None:
                raise ValueError(f"evaluate.control {control!r} is no strategy of task {name!r}")
            if found is None:
                continue
            if not (found.kind is StrategyKind.PLAIN or found.file is not None) or found.marker is not None:
                raise ValueError(
                    f"evaluate.control {control!r}: a control is 'plain', or 'demonstrations' with a 'file', "
                    "without 'answer_after'"
                )
        return self

    @model_validator(mode="after")
    def _judges_apart(self) -> Self:
        """The gate does not trust the reward: what judges a benchmark has had no say in what was trained on."""
        scorers = [one for task in self.tasks.values() for one in task.scorers]
        rewarding = {one.asked for one in scorers if isinstance(one, JudgeConfig)}
        rewarding |= {same_folder(one.model) for one in scorers if isinstance(one, RewardModelConfig)}
        # The champion descends from the flywheel's model.
        judged = {"champion", same_folder(self.model)}
        rewarding |= judged if rewarding & judged else set()
        for name, task in self.tasks.items():
            for i, benchmark in enumerate(task.benchmarks):
                if benchmark.judge is None:
                    continue
                asked = benchmark.judge.asked
                if asked in rewarding:
                    raise ValueError(
                        f"tasks.{name}.benchmarks.{i}.judge is {asked!r}, which the update's reward asks too"
                    )
                if asked in judged:
                    raise ValueError(f"tasks.{name}.benchmarks.{i}.judge is {asked!r}, which is judged itself")
        return self

    @model_validator(mode="after")
    def _known_tasks(self) -> Self:
        for i, source in enumerate(self.sources):
            for rule in source.tasks:
                if rule.task not in self.tasks:
                    raise ValueError(f"sources.{i}.tasks names {rule.task!r}, which is no task of this flywheel")
        return self

    def file(self, relative: str) -> Path:
        """A file or folder that the YAML names, below ``include/``."""
        return self._include / relative

    def prompt(self, task: str) -> str:
        """The production prompt of ``task``, without blanks around it."""
        path = self.file(self.tasks[task].prompt)
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the prompt cannot be read: {error}", where=path, mend="save it as UTF-8") from None

    @property
    def digest(self) -> str:
        """SHA-256 of all that the YAML says of turns, and of the files that it names: prompts, suites, examples, …."""
        told = self.model_dump(mode="json", exclude={"serve"})  # how a model is served makes no other turn of it
        sha = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
        for path in self._named_files():
            sha.update(path.read_bytes())
        return sha.hexdigest()

    def _named_files(self) -> list[Path]:
        named = [name for task in self.tasks.values() for name in named_files(task).values()]
        return [self.file(name) for name in (*named, *([self.update.accelerate] if self.update.accelerate else []))]


def named_files(task: TaskConfig) -> dict[str, str]:
    """Every file that a task names but the items of its benchmarks, below ``include/``, by its key."""
    named = {"prompt": task.prompt, "expectations": task.expectations}
    named |= {key: file for key in ("json_schema", "grammar") if (file := getattr(task, key)) is not None}
    for i, strategy in enumerate(task.strategies):
        if strategy.file is not None:
            named[f"strategies.{i}.file"] = strategy.file
        named |= {f"strategies.{i}.templates.{step}": file for step, file in strategy.template_files.items()}
    for i, scorer in enumerate(task.scorers):
        for key in ("file", "rubric", "template_file"):
            if (file := getattr(scorer, key, None)) is not None:
                named[f"scorers.{i}.{key}"] = file
    for i, benchmark in enumerate(task.benchmarks):
        if benchmark.judge is not None:
            named[f"benchmarks.{i}.judge.rubric"] = benchmark.judge.rubric
            named[f"benchmarks.{i}.judge.template"] = benchmark.judge.template_file
        if benchmark.template is not None:
            named[f"benchmarks.{i}.template"] = benchmark.template
        if (file := getattr(benchmark.scorer, "file", None)) is not None:
            named[f"benchmarks.{i}.scorer.file"] = file
    if task.calibration.anchors is not None:
        named["calibration.anchors"] = task.calibration.anchors
    return named


def load_flywheel(name: str, settings: Settings | None = None) -> Flywheel:
    """Read ``include/flywheels/<name>.yaml`` and check that every file it names is there.

    Raises:
        ConfigError: the file is missing, is not YAML, has a wrong key or value, or names a missing file.
    """
    settings = settings or Settings.from_env()
    path = settings.include / "flywheels" / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(flywheel_names(settings)) or "none"
        raise ConfigError(f"there is no flywheel {name!r}", where=path, mend=f"known flywheels: {known}")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"not a YAML file: {error}", where=path, mend="mend that place; save it as UTF-8") from None
    if not isinstance(raw, dict):
        raise ConfigError("a flywheel is a mapping of keys", where=path, mend="see include/flywheels/tickets.yaml")
    try:
        flywheel = Flywheel.model_validate(raw)
    except ValidationError as error:
        raise _readable(error, path) from None
    if flywheel.name != path.stem:
        raise ConfigError(f"name is {flywheel.name!r}", where=path, mend=f"name it {path.stem!r}, as the file")
    flywheel._include = settings.include
    _check_files(flywheel, path)
    return flywheel


def flywheel_names(settings: Settings | None = None) -> list[str]:
    """The names of all YAML files in ``include/flywheels/``."""
    folder = (settings or Settings.from_env()).include / "flywheels"
    return sorted(path.stem for path in folder.glob("*.yaml"))


def expand(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Replace ``${NAME}``; ``${TAO_HOME}`` always has a value.

    Raises:
        ConfigError: a variable is not set.
    """
    values = {**(os.environ if environment is None else environment), "TAO_HOME": str(Settings.from_env().home)}

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise ConfigError(f"{match[0]} is not set", where=text, mend=f"export {match[1]}")
        return values[match[1]]

    return _VARIABLE.sub(value, text)


def _readable(error: ValidationError, path: Path) -> ConfigError:
    first: dict[str, Any] = dict(error.errors()[0])
    parts = [str(part) for part in first["loc"]]
    key = ".".join(parts) or "(whole file)"
    # A list whose element is wrong counts as too short besides.
    places = [each["loc"] for each in error.errors()]
    count = sum(not any(other[: len(place)] == place != other for other in places) for place in places)
    more = f" (and {count - 1} more)" if count > 1 else ""
    match first["type"]:
        case "extra_forbidden":
            return ConfigError(f"unknown key{more}", where=f"{path}: {key}", mend="remove it, or mend its spelling")
        case "missing":
            return ConfigError(f"missing key{more}", where=f"{path}: {key}", mend="add it")
        case "secret":  # what was given is not told: it may be one
            return ConfigError(f"{first['msg']}{more}", where=f"{path}: {key}", mend="put the secret into a variable")
        case _:
            message = str(first["msg"]).removeprefix("Value error, ")
            given = first["input"]
            mend = "mend it there" if isinstance(given, (dict, list)) else f"it is now {given!r}"[:120]
            return ConfigError(f"{message}{more}", where=f"{path}: {key}", mend=mend)


def _check_files(flywheel: Flywheel, path: Path) -> None:
    named: dict[str, str] = {}
    if flywheel.generate.adapter is not None:
        named["generate.adapter"] = f"{flywheel.generate.adapter}/adapter_config.json"
    if flywheel.update.accelerate is not None:
        named["update.accelerate"] = flywheel.update.accelerate
    for name, task in flywheel.tasks.items():
        named |= {f"tasks.{name}.{key}": file for key, file in named_files(task).items()}
        # A variable may be set for the process alone that reads the benchmark.
        paths = {i: b.path for i, b in enumerate(task.benchmarks) if b.path and not _VARIABLE.search(b.path)}
        for i, benchmark in paths.items():
            if not flywheel.file(benchmark).exists():
                raise ConfigError(
                    "a file is missing",
                    where=f"{path}: tasks.{name}.benchmarks.{i}.path",
                    mend=f"make {flywheel.file(benchmark)} or mend the path",
                )
    for key, relative in named.items():
        if not flywheel.file(relative).is_file():
            raise ConfigError(
                "a file is missing",
                where=f"{path}: {key}",
                mend=f"make {flywheel.file(relative)} or mend the path",
            )
