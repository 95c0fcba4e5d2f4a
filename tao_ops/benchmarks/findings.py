"""What one benchmark, or one slice of it, says of a candidate: the figures, and their words."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from tao_ops.benchmarks import paired
from tao_ops.benchmarks.paired import Paired
from tao_ops.benchmarks.reports import BenchmarkScores


class Decision(StrEnum):
    """What the gate says of a candidate."""

    PROMOTE = "promote"
    """The candidate is better on the primary benchmark and worse on none."""
    REJECT = "reject"
    """The candidate is worse somewhere, or breaks a guard."""
    UNDECIDED = "undecided"
    """The data cannot tell; the champion stays."""


@dataclass(frozen=True)
class Finding:
    """What one benchmark, or one slice of it, says.

    Attributes:
        slice: ``column=value``; empty for the whole benchmark.
        n: items that were compared.
        delta: mean difference, candidate minus champion, with its interval ``low`` to ``high`` at ``1 - alpha``.
        p_value: of no difference, two-sided; of a slice: of a drop, one-sided.
        corrected_p: by Holm's procedure over all benchmarks, or over the benchmark's slices.
        level: what ``corrected_p`` was held against.
        decision: PROMOTE where it has nothing against a promotion.
        sentence: all of this in words.
        items_needed: where the data cannot tell: how many would, if the difference is what it seems.
    """

    benchmark: str
    slice: str
    n: int
    delta: float
    low: float
    high: float
    p_value: float
    corrected_p: float
    level: float
    decision: Decision
    sentence: str
    items_needed: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "decision": self.decision.value}


def finding(
    benchmark: str,
    slice_: str,
    pair: Paired,
    p_value: float,
    corrected: float,
    level: float,
    decision: Decision,
    sentence: str,
    needed: int | None = None,
) -> Finding:
    """The record of a comparison and what it says."""
    measured = (pair.n, pair.delta, pair.low, pair.high, p_value, corrected)
    return Finding(benchmark, slice_, *measured, level, decision, sentence, needed)


def compare(
    champion: BenchmarkScores,
    candidate: BenchmarkScores,
    items: Sequence[str] | None,
    alpha: float,
    seed: int,
    resamples: int,
) -> Paired:
    """Candidate minus champion on ``items``, or on all."""
    of = sorted(champion.items) if items is None else items
    return paired.compare(
        [champion.items[item] for item in of],
        [candidate.items[item] for item in of],
        alpha=alpha,
        seed=seed,
        resamples=resamples,
    )


def figures(pair: Paired, p: float, *, alpha: float, notes: Sequence[str]) -> str:
    """Difference, interval and p value, with what there is to say of the p value."""
    interval = f"{1 - alpha:.0%} interval [{points(pair.low)}, {points(pair.high)}]"
    label = f"p ({', '.join(notes)})" if notes else "p"
    return f"{points(pair.delta)} over {pair.n} items, {interval}, {label} = {p:.2g}"


def items_needed(distance: float, pair: Paired, alpha: float) -> tuple[str, int | None]:
    """How many items would show that the true value is as far off as this one, in words and as a number."""
    items = paired.items_to_decide(distance, pair.deviation, alpha=alpha)
    if items is None:
        return "the scores differ too little to say how many items would decide", None
    items = max(items, pair.n + 1)
    return f"about {items:,} items would decide, if the difference is what it seems", items


def points(share: float, *, sign: bool = True) -> str:
    """Percentage points."""
    return f"{100 * share:{'+' if sign else ''}.1f} points"
