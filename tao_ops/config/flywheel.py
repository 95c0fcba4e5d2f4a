"""A flywheel's YAML as typed values."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterBadDateError, croniter
from pydantic import Field, PrivateAttr, field_validator, model_validator

from tao_ops.config.base import Strict
from tao_ops.config.gate import GateConfig
from tao_ops.config.launch import LaunchConfig
from tao_ops.config.operation import OperationConfig
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
    dry_run: bool = False
    """A turn's verdict and version are recorded, but the champion stays, and nobody is asked."""
    operation: OperationConfig = OperationConfig()
    launch: LaunchConfig = LaunchConfig()

    _include: Path = PrivateAttr()

    @field_validator("schedule")
    @classmethod
    def _cron(cls, value: str) -> str:
        if not croniter.is_valid(value) or len(value.split()) != 5:
            raise ValueError(f"{value!r} is not a cron expression of five fields")
        try:
            croniter(value).get_next()
        except CroniterBadDateError:
            raise ValueError(f"{value!r} names no day that ever comes") from None
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

    def bind(self, include: Path) -> Self:
        """Tell the folder that the YAML's files lie below; returns itself."""
        self._include = include
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
        # How a model is served, how its DAG is operated and where its stages run makes no other turn of it.
        told = self.model_dump(mode="json", exclude={"serve", "operation", "launch"})
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
