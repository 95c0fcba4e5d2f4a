"""How a task's rewards are calibrated, tried and watched."""

from pydantic import Field

from tao_ops.config.base import Share, Strict


class ProbeConfig(Strict):
    """What is done about a scorer that falls for a probe."""

    bar: bool = False
    """It is left out of the reward of the turn."""
    queries: int = Field(default=20, ge=5, le=1000)
    """Queries of a shard that are probed."""
    limit: Share = 0.25
    """A scorer falls for a probe that it gives at least the honest answer's score more often than this."""


class Limit(Strict):
    """Where a monitor warns and where it fails the stage; None: never."""

    warn: float | None = None
    fail: float | None = None


class MonitorConfig(Strict):
    """Signs that a reward is being gamed, and how much of each is too much."""

    length: Limit = Limit(warn=0.5)
    """Rank correlation of reward and length, within queries."""
    no_spread: Limit = Limit(warn=0.8)
    """Share of the queries whose responses all have the same reward."""
    entropy: Limit = Limit(warn=0.05)
    """Mean entropy of a query's answers, as a share of the most there can be: too little, not too much."""
    template: Limit = Limit(warn=0.5)
    """Share of the responses that say the same, or begin with the same words, whatever was asked."""
    drift: Limit = Limit(warn=0.25)
    """Population stability index of a scorer's scores, against the turn before."""
    reward_without_benchmark: Limit = Limit(warn=3)
    """Turns in a row whose reward rose while the primary benchmark did not."""


class CalibrationConfig(Strict):
    """How scores become the probability that a response is correct."""

    anchors: str | None = None
    """Labelled responses, a file of JSON lines below ``include/``."""
    least: int = Field(default=20, ge=4)
    """Fewer labels than this are not fitted to."""
    isotonic: int = Field(default=200, ge=20)
    """From this many labels on, an isotonic step follows the logistic one."""
    history: int = Field(default=7, ge=0)
    """Earlier turns whose labels count."""
