"""Rewards that need no labels: one file per scorer, each a pure function over a batch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from tao_ops.config import ConsensusConfig, GroundingConfig, ScorerConfig, StrictJsonConfig
from tao_ops.records import Candidate
from tao_ops.rewards import consensus, grounding, strict_json
from tao_ops.rewards.combine import combine, verified

Score = Callable[[Sequence[Candidate]], list[float]]
"""One number in [0, 1] per candidate, in the batch's order; a query's candidates are in one batch."""


@dataclass(frozen=True)
class Scored:
    """What a candidate is worth.

    Attributes:
        scores: each scorer's, in [0, 1].
        verified: what the verifiers alone say, in [0, 1]; it does not change with the query's other candidates.
        reward: all of it as one number in [0, 1].
    """

    scores: Mapping[str, float]
    verified: float
    reward: float


def score(configs: Sequence[ScorerConfig], batch: Sequence[Candidate]) -> list[Scored]:
    """All scorers of a task over a batch, in its order; a query's candidates are in one batch.

    An empty answer is worth nothing, whatever the scorers say of it.
    """
    columns = {name: scorer(batch) for name, scorer in build(configs).items()}
    rows = [{name: values[i] for name, values in columns.items()} for i in range(len(batch))]
    worth = [float(bool(candidate.text)) for candidate in batch]
    return [Scored(row, w * verified(row), w * combine(row)) for w, row in zip(worth, rows, strict=True)]


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
