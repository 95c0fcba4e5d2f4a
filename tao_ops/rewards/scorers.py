"""From a task's YAML to its scorers: what each needs is read, and checked, before the first response is scored."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tao_ops.config import (
    ConsensusConfig,
    GroundingConfig,
    InstructionsConfig,
    JsonSchemaConfig,
    JudgeConfig,
    LabelConfig,
    NumericConfig,
    OwnScorerConfig,
    RegexConfig,
    RewardModelConfig,
    ScorerConfig,
    SqlExecutionConfig,
)
from tao_ops.errors import ConfigError
from tao_ops.records import Candidate
from tao_ops.rewards import (
    grounding,
    instructions,
    json_schema,
    judge,
    label,
    numeric,
    own,
    regex,
    reward_model,
    sql,
    sql_execution,
)
from tao_ops.rewards.base import Models, Score, Scorer
from tao_ops.rewards.consensus import Answer
from tao_ops.rewards.consensus.answers import clustered, json_answer, number_answer, text_answer

Answers = Callable[[Sequence[Candidate]], list[Answer | None]]
"""What each candidate says, as it is compared."""


@dataclass(frozen=True)
class Setting:
    """What scorers find beside their entries in the YAML.

    Attributes:
        include: the folder that the entries' files are in.
        json_schema: the task's own schema, its file below ``include``.
        models: those that scorers ask; None where only scorers that need none are built.
    """

    include: Path
    json_schema: str | None = None
    models: Models | None = None


def build(config: ScorerConfig, setting: Setting) -> Scorer | None:
    """The scorer of an entry; None for a flag, which gives no score, and for consensus, which asks the others first.

    Raises:
        ConfigError: what the entry names is missing or wrong.
    """
    match config:
        case JsonSchemaConfig():
            return partial(json_schema.score, keys=config.keys, schema=_schema(config, setting))
        case GroundingConfig():
            return partial(grounding.spans.score, keys=config.keys) if config.keys else grounding.numbers.score
        case SqlExecutionConfig():
            sql.check(config.sql, setting.include)
            return partial(
                sql_execution.score,
                sql=config.sql,
                folder=setting.include,
                extra_columns=config.extra_columns,
                repeats=config.repeats,
                order=config.order,
            )
        case NumericConfig():
            return numeric.score
        case InstructionsConfig():
            instructions.check(config.constraints, where=f"scorer {config.name!r}")
            return partial(instructions.score, constraints=config.constraints)
        case RegexConfig():
            return partial(regex.score, pattern=config.pattern, whole=config.whole)
        case LabelConfig():
            labels = config.labels or label.read(setting.include / str(config.file))
            return partial(label.score, labels=labels, case=config.case)
        case OwnScorerConfig():
            return own.load(config, setting.include)
        case JudgeConfig():
            return _judge(config, setting)
        case RewardModelConfig():
            return _reward_model(config, setting)
        case _:
            return None


def answers(config: ConsensusConfig | None, setting: Setting) -> Answers:
    """How the answers of a task are compared; without ``consensus``, as it compares them by itself."""
    if config is None:
        return lambda batch: [json_answer(candidate.text) for candidate in batch]
    match config.answer:
        case "text":
            return lambda batch: [text_answer(candidate.text) for candidate in batch]
        case "number":
            return lambda batch: [number_answer(candidate.text) for candidate in batch]
        case "sql":
            assert config.sql is not None
            sql.check(config.sql, setting.include)
            return partial(_results, config, setting)
        case "embedding":
            return partial(_clusters, config, setting)
        case _:
            return lambda batch: [json_answer(candidate.text) for candidate in batch]


def _results(config: ConsensusConfig, setting: Setting, batch: Sequence[Candidate]) -> list[Answer | None]:
    assert config.sql is not None
    found = sql.result_keys(batch, sql=config.sql, folder=setting.include)
    return [None if key is None else {"": key} for key in found]


def _clusters(config: ConsensusConfig, setting: Setting, batch: Sequence[Candidate]) -> list[Answer | None]:
    assert config.embedding is not None
    if setting.models is None:
        return [None] * len(batch)
    return list(clustered(batch, setting.models.embed(config.embedding), config.embedding.similarity))


def _schema(config: JsonSchemaConfig, setting: Setting) -> Mapping[str, object] | bool | None:
    if config.keys:
        return None
    file = config.file or setting.json_schema
    if file is None:
        raise ConfigError(
            "there is no schema to check", where=f"scorer {config.name!r}", mend="give it 'keys' or a 'file'"
        )
    path = setting.include / file
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"the schema cannot be read: {error}", where=path) from None
    json_schema.check(schema, path)
    return schema  # type: ignore[no-any-return]


def _text(path: Path, mend: str) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the file cannot be read: {error}", where=path, mend="save it as UTF-8") from None
    if not text:
        raise ConfigError("the file is empty", where=path, mend=mend)
    return text


def _rubric(config: JudgeConfig, setting: Setting) -> str:
    return _text(setting.include / config.rubric, "say in plain words what a right answer is")


def _judge(config: JudgeConfig, setting: Setting) -> Scorer:
    rubric, models = _rubric(config, setting), setting.models
    template = _text(setting.include / config.template_file, "write the judge's instructions")

    def scorer(batch: Sequence[Candidate]) -> list[Score]:
        if models is None:
            return [Score(None, "no judge is asked here")] * len(batch)
        return judge.score(batch, config=config, rubric=rubric, template=template, judge=models.judge(config))

    return scorer


def _reward_model(config: RewardModelConfig, setting: Setting) -> Scorer:
    models = setting.models

    def scorer(batch: Sequence[Candidate]) -> list[Score]:
        if models is None:
            return [Score(None, "no reward model is asked here")] * len(batch)
        return reward_model.score(batch, ask=models.reward_model(config))

    return scorer


def rubrics(configs: Sequence[ScorerConfig], setting: Setting) -> dict[str, str]:
    """The rubric of each judge by its scorer's name."""
    return {config.name: _rubric(config, setting) for config in configs if isinstance(config, JudgeConfig)}
