"""What a promotion needs."""

from datetime import timedelta
from enum import StrEnum

from pydantic import Field

from tao_ops.config.base import Duration, Share, Strict


class Approval(StrEnum):
    """Who has the last word on a promotion."""

    AUTO = "auto"
    """The gate."""
    MANUAL = "manual"
    """A person, once the gate has said yes."""


class GuardsConfig(Strict):
    """What a candidate may not be or become, whatever its scores; shares of outputs are of a benchmark's items."""

    longer: float = Field(default=1.5, ge=1)
    """Mean tokens of an output, as a multiple of the champion's."""
    slower: float = Field(default=1.5, ge=1)
    """Seconds for a token, as a multiple of the champion's; both are timed on every night, in turn."""
    timed: int = Field(default=32, ge=0, le=10_000)
    """Items of the primary benchmark that both are timed on; 0: nothing is timed."""
    empty: Share = 0.02
    """Outputs that say nothing, more than the champion's share."""
    truncated: Share = 0.05
    """Outputs that were cut off at the longest, more than the champion's share."""
    repeated: Share = 0.05
    """Outputs that repeat themselves, more than the champion's share."""
    probes: Share = 0.5
    """A probe's comparisons in which a scorer of the reward may give it at least what the honest answer gets."""


class GateConfig(Strict):
    """What a promotion needs."""

    alpha: float = Field(default=0.05, gt=0, lt=1)
    """Of all tests of one champion in a calendar month together; how it is spent: ``benchmarks/spending.py``."""
    margin: Share = 0.0
    """The primary benchmark must rise by more than this."""
    tolerance: Share = 0.02
    """No other benchmark may fall by more than this, and no declared slice significantly by more."""
    guards: GuardsConfig = GuardsConfig()
    approval: Approval = Approval.AUTO
    approval_limit: Duration = timedelta(hours=20)
    """A promotion that nobody has approved by then is rejected."""
