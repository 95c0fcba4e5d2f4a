"""Rewards that need no labels: one file per scorer, each a pure function over a batch."""

from collections.abc import Callable, Sequence
from functools import partial

from tao_ops.config import ConsensusConfig, GroundingConfig, ScorerConfig, StrictJsonConfig
from tao_ops.records import Candidate
from tao_ops.rewards import consensus, grounding, strict_json

Score = Callable[[Sequence[Candidate]], list[float]]
"""One number in [0, 1] per candidate, in the batch's order; a query's candidates are in one batch."""


def build(configs: Sequence[ScorerConfig]) -> dict[str, Score]:
    """The scorers of a task by name."""
    return {config.name: _scorer(config) for config in configs}


def _scorer(config: ScorerConfig) -> Score:
    match config:
        case StrictJsonConfig():
            return partial(strict_json.score, keys=config.keys)
        case GroundingConfig():
            return partial(grounding.score, keys=config.keys)
        case ConsensusConfig():
            return partial(consensus.score, votes=config.votes)
