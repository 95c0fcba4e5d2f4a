"""A task of a flywheel: its prompt, how to explore, how to score, how to judge, what to keep private."""

from enum import StrEnum
from typing import Any, Self

from pydantic import Field, model_validator

from tao_ops.config.base import Strict
from tao_ops.config.scorers import ConsensusConfig, JudgeConfig, OwnScorerConfig, ScorerConfig, Verifier
from tao_ops.config.strategies import StrategyConfig, StrategyKind
from tao_ops.config.trust import CalibrationConfig, MonitorConfig, ProbeConfig


class BenchmarkFormat(StrEnum):
    """In which layout a benchmark lies."""

    ITEMS = "items"
    """A file of JSON lines, CSV or Parquet, or a folder with ``items.jsonl``, ``items.csv`` or ``items.parquet``."""
    BIRD = "bird"
    """A folder with ``dev.json`` or ``mini_dev_sqlite.json``, and its databases."""
    SPIDER = "spider"
    """A folder with ``dev.json``, and its databases."""
    FINANCEBENCH = "financebench"
    """The JSON lines of its questions; without a judge or scorer only those whose answer is a number."""
    TATQA = "tatqa"
    """A file in the layout of ``tatqa_dataset_dev.json``; without a judge or scorer only numbers, as above."""
    GSM8K = "gsm8k"
    """JSON lines with ``question`` and ``answer``."""
    IFEVAL = "ifeval"
    """The JSON lines of its prompts, scored by prompt and strictly."""
    HARNESS = "harness"
    """A task of lm-evaluation-harness: ``path`` is a folder with its YAML files and data, ``harness`` its name."""
    HOLDOUT = "holdout"
    """The flywheel's own frozen holdout, judged champion against candidate; for teams without labels."""


class BenchmarkConfig(Strict):
    """A fixed set of items, used by the gate and never for training."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")
    path: str | None = None
    """A file or folder, below ``include/`` or absolute; ``${NAME}`` is replaced. ``holdout`` has none."""
    format: BenchmarkFormat = BenchmarkFormat.ITEMS
    template: str | None = None
    """A file below ``include/`` with ``$column`` for columns of a row, which is asked where it has no messages."""
    metric: str | None = None
    """``exact_json``, ``exact_text``, ``judge``, or the format's own, which is taken where none is named.

    Of ``harness`` it is one of the task's own, ``acc`` where none is named.
    """
    scorer: ScorerConfig | None = None
    """A verifier of rewards, or a scorer of one's own, that is given the item's reference, in the place of a metric."""
    judge: JudgeConfig | None = None
    """Who judges, for ``metric: judge``: another model than any that the update's reward asks."""
    harness: str | None = None
    """The harness's task."""
    limit: int | None = Field(default=None, ge=1)
    """So many of the items, the first ones."""
    slices: tuple[str, ...] = ()
    """Columns of the items by whose values the gate looks for a drop that the mean hides."""
    primary: bool = False

    @model_validator(mode="before")
    @classmethod
    def _name_the_judge(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and isinstance(raw.get("judge"), dict):
            mode = "pairwise" if raw.get("format") == BenchmarkFormat.HOLDOUT else "single"
            return {**raw, "judge": {"kind": "judge", "name": "judge", "mode": mode, **raw["judge"]}}
        return raw

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.format is BenchmarkFormat.HOLDOUT) == (self.path is not None):
            raise ValueError("a benchmark has a 'path', unless its format is holdout")
        if (self.format is BenchmarkFormat.HARNESS) != (self.harness is not None):
            raise ValueError("'format: harness' needs 'harness', the task's name, and no other format takes it")
        judged = self.metric == "judge" or self.format is BenchmarkFormat.HOLDOUT
        if judged and self.judge is None:
            raise ValueError(f"'{'metric: judge' if self.metric == 'judge' else 'format: holdout'}' needs a 'judge'")
        if self.judge is not None and not judged:
            raise ValueError("'metric: judge' and 'format: holdout' need a 'judge', and no other metric takes one")
        if self.judge is not None and self.judge.mode != self._mode:
            seen = "both answers of a query" if self.format is BenchmarkFormat.HOLDOUT else "one answer at a time"
            raise ValueError(f"a benchmark's judge sees {seen}: 'mode: {self._mode}'")
        if self.scorer is not None and (self.metric is not None or judged):
            raise ValueError("a benchmark has a 'metric' or a 'scorer', not both")
        return self

    @model_validator(mode="after")
    def _scored(self) -> Self:
        if self.scorer is not None and not isinstance(self.scorer, Verifier | OwnScorerConfig):
            raise ValueError(
                f"'{self.scorer.kind}' scores no output alone by its reference: name a verifier or an 'own' scorer"
                if not isinstance(self.scorer, JudgeConfig)
                else "a judge is no 'scorer' of a benchmark: give it 'metric: judge' and 'judge'"
            )
        if self.format is BenchmarkFormat.HARNESS:
            if self.scorer is not None or self.judge is not None or self.template is not None:
                raise ValueError("'format: harness' asks and scores by the task's own YAML: it takes no more")
        elif self.metric is not None and self.metric not in (known := (*_ANY, _METRICS[self.format])):
            raise ValueError(f"unknown metric {self.metric!r}: name one of {', '.join(dict.fromkeys(known))}")
        return self

    @property
    def _mode(self) -> str:
        """A judge sees one answer at a time; of the holdout, both answers."""
        return "pairwise" if self.format is BenchmarkFormat.HOLDOUT else "single"

    @property
    def scored_by(self) -> str:
        """How its figures are called in reports."""
        if self.scorer is not None:
            return self.scorer.name
        if self.metric is not None:
            return self.metric
        return _METRICS[self.format]


_ANY = ("exact_json", "exact_text", "judge")
"""Metrics of any format but the harness's."""
_METRICS = {
    BenchmarkFormat.ITEMS: "exact_json",
    BenchmarkFormat.BIRD: "execution_accuracy",
    BenchmarkFormat.SPIDER: "execution_accuracy",
    BenchmarkFormat.FINANCEBENCH: "numeric",
    BenchmarkFormat.TATQA: "numeric",
    BenchmarkFormat.GSM8K: "numeric",
    BenchmarkFormat.IFEVAL: "instructions",
    BenchmarkFormat.HARNESS: "acc",
    BenchmarkFormat.HOLDOUT: "preference",
}
"""By format, what its items are scored by where the YAML names nothing."""


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
