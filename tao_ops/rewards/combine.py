"""Several scores become one reward in [0, 1]: the probability that the response is right, where one can be fitted."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from tao_ops.config import ConsensusConfig, JudgeConfig, OwnScorerConfig, RewardModelConfig, ScorerConfig
from tao_ops.config.scorers import Flag, Verifier

VERSION = "product-2"
"""Names the rule without a calibrator in ``rewards.calibrator_version``."""

EMPTY = "empty"
"""The flag of a response without an answer; its reward is 0."""
UNKNOWN = 0.5
"""What counts for a scorer that could not decide where others did: a soft one beside the other soft ones, a verifier
where it had a verdict on other candidates of the query. So nothing is gained by what takes too long to be checked."""


class Calibrated(Protocol):
    """Gives the probability of being right."""

    @property
    def version(self) -> str:
        """Names it."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """The scorers that it weighs."""
        ...

    def probability(self, scores: Mapping[str, float]) -> float | None:
        """Of the scores that were decided; None where they say nothing."""
        ...


def is_verifier(config: ScorerConfig) -> bool:
    """Whether a scorer checks by rule, and asks no model."""
    return isinstance(config, Verifier) or (isinstance(config, OwnScorerConfig) and config.verifier)


def is_soft(config: ScorerConfig) -> bool:
    """Whether a scorer ranks, and vetoes nothing."""
    return isinstance(config, (ConsensusConfig, JudgeConfig, RewardModelConfig)) or (
        isinstance(config, OwnScorerConfig) and not config.verifier
    )


def verified(configs: Sequence[ScorerConfig], scores: Mapping[str, float], unknown: Collection[str] = ()) -> float:
    """What the verifiers alone say: the product of what they decided, 1 where that is nothing.

    Args:
        unknown: those that decided nothing here, but something of the query's other candidates.
    """
    product = 1.0
    for config in configs:
        if is_verifier(config):
            product *= scores.get(config.name, UNKNOWN if config.name in unknown else 1.0)
    return product


def vetoed(configs: Sequence[ScorerConfig], scores: Mapping[str, float], flags: Collection[str]) -> bool:
    """Whether a verifier gave less than its least, a flag rejects, or there is no answer."""
    if EMPTY in flags:
        return True
    for config in configs:
        if isinstance(config, Flag) and config.rejects and config.name in flags:
            return True
        if isinstance(config, (Verifier, OwnScorerConfig)) and scores.get(config.name, 1.0) < config.least:
            return True
    return False


def decides(config: ScorerConfig) -> bool:
    """Whether a scorer's verdict is the truth."""
    return isinstance(config, Verifier) and config.decides


def combine(
    configs: Sequence[ScorerConfig],
    scores: Mapping[str, float],
    *,
    unknown: Collection[str] = (),
    calibrator: Calibrated | None = None,
    barred: Collection[str] = (),
) -> float | None:
    """The reward of a response that nothing vetoes; None where no scorer decided.

    Where the calibrator weighs none of those that decided, the rule without a calibrator holds.

    A verifier that ``decides`` is the truth, where it has a verdict.

    Without a calibrator verifiers multiply and the others rank: the product of the verifiers' scores times
    ``(1 + s) / 2``, with ``s`` the mean of the soft ones.

    >>> from tao_ops.config import ConsensusConfig, GroundingConfig
    >>> configs = [GroundingConfig(kind="grounding", name="grounding", keys=("city",)),
    ...            ConsensusConfig(kind="consensus", name="consensus")]
    >>> combine(configs, {"grounding": 1.0, "consensus": 0.5}), combine(configs, {}) is None
    (0.75, True)
    """
    used = [config for config in configs if config.name not in barred and not isinstance(config, Flag)]
    told = {config.name: scores[config.name] for config in used if config.name in scores}
    if not told:
        return None
    decided = [told[config.name] for config in used if decides(config) and config.name in told]
    if decided:
        return min(decided)
    if calibrator is not None:
        half = {name: UNKNOWN for name in unknown if name not in barred}
        if (probability := calibrator.probability({**half, **told})) is not None:
            return probability
    sure = verified(used, told, unknown)
    soft = [told.get(config.name, UNKNOWN) for config in used if is_soft(config)]
    return sure * (1.0 + sum(soft) / len(soft)) / 2.0 if soft else sure
