"""Flags: signs in a response that something is wrong with it; they give no score, but may reject it."""

from collections.abc import Sequence

from tao_ops.config import LanguageConfig, LengthConfig, RefusalConfig, RepetitionConfig, ScorerConfig
from tao_ops.config.scorers import Flag
from tao_ops.records import Candidate
from tao_ops.rewards.flags import language, length, refusal, repetition


def mark(configs: Sequence[ScorerConfig], batch: Sequence[Candidate]) -> list[tuple[str, ...]]:
    """The names of the flags that each candidate carries, in the order of ``configs``; scorers in it are passed over.

    Raises:
        ConfigError: a flag's entry is wrong.

    >>> configs = [LengthConfig(kind="length", name="brief", least=2), RefusalConfig(kind="refusal", name="refusal")]
    >>> mark(configs, [Candidate("q", "Where is it?", text) for text in ("Oslo", "I can't help with that.")])
    [('brief',), ('refusal',)]
    """
    found = {config.name: _marks(config, batch) for config in configs if isinstance(config, Flag)}
    return [tuple(name for name, marks in found.items() if marks[i]) for i in range(len(batch))]


def rejects(configs: Sequence[ScorerConfig]) -> frozenset[str]:
    """The names of the flags that make a response's reward 0."""
    return frozenset(config.name for config in configs if isinstance(config, Flag) and config.rejects)


def _marks(
    config: LengthConfig | RepetitionConfig | RefusalConfig | LanguageConfig, batch: Sequence[Candidate]
) -> list[bool]:
    match config:
        case LengthConfig():
            return length.marks(config, batch)
        case RepetitionConfig():
            return repetition.marks(config, batch)
        case RefusalConfig():
            return refusal.marks(config, batch)
        case LanguageConfig():
            return language.marks(config, batch)
