"""A task of a flywheel: its prompt, how to explore, how to score, how to judge, what to keep private."""

from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from tao_ops.config.base import Strict
from tao_ops.config.scorers import ConsensusConfig, JudgeConfig, ScorerConfig
from tao_ops.config.strategies import StrategyConfig, StrategyKind
from tao_ops.config.trust import CalibrationConfig, MonitorConfig, ProbeConfig


class BenchmarkConfig(Strict):
    """A fixed set of items with references, used by the gate and never for training."""

    name: str
    path: str
    """A folder with ``items.jsonl``, below ``include/``."""
    metric: Literal["exact_json", "judge"] = "exact_json"
    judge: JudgeConfig | None = None
    """Who judges, for ``metric: judge``: another model than any that the update's reward asks."""
    primary: bool = False

    @model_validator(mode="before")
    @classmethod
    def _name_the_judge(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and isinstance(raw.get("judge"), dict):
            return {**raw, "judge": {"kind": "judge", "name": "judge", **raw["judge"]}}
        return raw

    @model_validator(mode="after")
    def _its_own_judge(self) -> Self:
        if (self.metric == "judge") != (self.judge is not None):
            raise ValueError("'metric: judge' needs a 'judge', and no other metric takes one")
        if self.judge is not None and self.judge.mode != "single":
            raise ValueError("a benchmark's judge sees one answer at a time: 'mode: single'")
        return self


class PersonalKind(StrEnum):
    """What redaction looks for."""

    EMAIL = "email"
    PHONE = "phone"
    CARD = "card"
    """Payment cards whose digits pass Luhn's check."""
    IBAN = "iban"
    IP = "ip"
    """Addresses of the Internet protocol, version 4 and 6."""
    SECRET = "secret"
    """Keys and tokens of known forms, and passwords that are named as such."""


class PrivacyConfig(Strict):
    """What is taken out of messages before they are written."""

    kinds: tuple[PersonalKind, ...] = tuple(PersonalKind)
    """None of them only where the logs come redacted already."""
    allow: tuple[str, ...] = ()
    """Values that stay, such as the shop's own address: compared without case."""
    regions: tuple[str, ...] = ("US",)
    """Countries whose national telephone numbers are found too; international ones always are."""
    names: bool = True
    """Names of persons, where a language model that finds them is installed."""


class TaskConfig(Strict):
    """One kind of query: its prompt, how to explore, how to score, how to judge."""

    prompt: str
    """The production prompt's file, below ``include/``."""
    expectations: str
    """The Great Expectations suite's file, below ``include/``."""
    strategies: tuple[StrategyConfig, ...] = Field(min_length=1)
    scorers: tuple[ScorerConfig, ...] = Field(min_length=1)
    calibration: CalibrationConfig = CalibrationConfig()
    probes: ProbeConfig = ProbeConfig()
    monitors: MonitorConfig = MonitorConfig()
    benchmarks: tuple[BenchmarkConfig, ...] = Field(min_length=1)
    privacy: PrivacyConfig = PrivacyConfig()
    near_duplicates: float = Field(default=0.9, ge=0.5, le=1.0)
    """Queries at least this similar (Jaccard similarity of their shingles) are one prompt; 1 merges equal ones only."""
    max_tokens: int = Field(default=64, ge=1, le=32768)
    """Longest response, in tokens, in exploration and in evaluation alike."""
    json_schema: str | None = None
    """A JSON schema's file below ``include/``, which ``structured`` samples within."""
    grammar: str | None = None
    """The same as a grammar in EBNF, which begins at ``root``; a task has one of the two."""

    @model_validator(mode="after")
    def _different_names(self) -> Self:
        for what, named in (("strategies", self.strategies), ("scorers", self.scorers)):
            names = [one.name for one in named]
            if len(set(names)) != len(names):
                raise ValueError(f"'{what}' of a task need different names")
        return self

    @model_validator(mode="after")
    def _one_consensus(self) -> Self:
        if sum(isinstance(one, ConsensusConfig) for one in self.scorers) > 1:
            raise ValueError("a task has one 'consensus': it says what its answers are compared by")
        return self

    @model_validator(mode="after")
    def _one_structure(self) -> Self:
        if self.json_schema is not None and self.grammar is not None:
            raise ValueError("a task has a 'json_schema' or a 'grammar', not both")
        if all(s.kind is StrategyKind.DEMONSTRATIONS and s.file is None for s in self.strategies):
            raise ValueError("a first turn has no examples to bootstrap: add a strategy that needs none")
        wanted = [s.name for s in self.strategies if s.kind is StrategyKind.STRUCTURED]
        if wanted and self.json_schema is None and self.grammar is None:
            raise ValueError(f"strategy {wanted[0]!r} needs the task's 'json_schema' or 'grammar', a file")
        return self
