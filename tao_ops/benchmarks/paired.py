"""Statistics of two models on the same items: means, the paired difference, and whether chance explains it."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
_CHUNK = 500
_EXCEEDANCES = 10
_LONGER = 20
"""A p value of fewer exceedances than these is told apart from smaller ones with up to so many times the resamples."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Paired:
    """Candidate minus champion over ``n`` shared items.

    Attributes:
        delta: mean difference.
        low: lower end of its interval at confidence ``1 - alpha``.
        high: upper end.
        p_value: two-sided, of no difference: McNemar's exact test where every score is 0 or 1, else a
            permutation test that flips the signs of the differences. Not corrected for several benchmarks.
        deviation: standard deviation of the items' differences.
    """

    n: int
    delta: float
    low: float
    high: float
    p_value: float
    deviation: float

    @property
    def p_drop(self) -> float:
        """One-sided p value of a drop: both tests are symmetric, so it is half of the two-sided one where it fell."""
        return self.p_value / 2 if self.delta < 0 else 1 - self.p_value / 2


def compare(
    champion: Sequence[float],
    candidate: Sequence[float],
    *,
    alpha: float = 0.05,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Paired:
    """Compare scores item by item; both sequences are in the same order of items.

    Raises:
        ValueError: the lengths differ, or there are no items.
    """
    before, after = np.asarray(champion, np.float64), np.asarray(candidate, np.float64)
    if before.shape != after.shape or before.ndim != 1 or not before.size:
        raise ValueError(f"scores of the same items are needed, not {before.shape} and {after.shape}")
    differences = after - before
    low, high = difference_interval(differences, alpha=alpha, seed=seed, resamples=resamples)
    n = int(differences.size)
    deviation = float(np.std(differences, ddof=1)) if n > 1 else 0.0
    p = p_value(champion, candidate, seed=seed, resamples=resamples)
    return Paired(n, float(differences.mean()), low, high, p, deviation)


def p_value(
    champion: Sequence[float], candidate: Sequence[float], *, seed: int = 0, resamples: int = RESAMPLES
) -> float:
    """Two-sided p value of no difference: McNemar's exact test where every score is 0 or 1, else by sign flips."""
    before, after = np.asarray(champion, np.float64), np.asarray(candidate, np.float64)
    if _is_binary(before) and _is_binary(after):
        return mcnemar(after - before)
    return sign_flip(after - before, seed=seed, resamples=resamples)


def mean_interval(scores: Sequence[float], *, alpha: float = 0.05) -> tuple[float, float]:
    """Wilson's interval for the mean of scores that are 0 or 1 (Wilson 1927, eq. of the roots).

    For scores in [0, 1] of other kinds the same formula holds as a bound: no such mean varies more than a share.
    """
    from scipy.stats import norm

    n, share = len(scores), float(np.mean(scores))
    z = float(norm.isf(alpha / 2))
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def difference_interval(differences: Floats, *, alpha: float, seed: int, resamples: int) -> tuple[float, float]:
    """BCa bootstrap interval of the mean difference (Efron 1987).

    Where all items differ by the same, resampling shows no spread at all; then the share of items that may differ
    otherwise, unseen in n, is at most ``-ln(alpha)/n`` (the rule of three), and the interval is as wide as that.
    """
    from scipy.stats import bootstrap

    n, mean = differences.size, float(differences.mean())
    if np.ptp(differences) < 1e-12:
        slack = min(1.0, -math.log(alpha) / n)
        return max(-1.0, mean - slack), min(1.0, mean + slack)
    found = {}
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            # Where the resamples are all on one side of the mean BCa has no value; the percentile interval has.
            warnings.simplefilter("ignore")
            result = bootstrap(
                (differences,),
                np.mean,
                n_resamples=resamples,
                batch=_CHUNK,
                confidence_level=1 - alpha,
                method=method,
                rng=np.random.default_rng(seed),
            )
        found = {"low": float(result.confidence_interval.low), "high": float(result.confidence_interval.high)}
        if all(math.isfinite(end) for end in found.values()):
            break
    return found["low"], found["high"]


def mcnemar(differences: Floats) -> float:
    """McNemar's exact test: of the items that only one of the two got right, is it one more often than the other?"""
    from scipy.stats import binomtest

    won, lost = int((differences > 0).sum()), int((differences < 0).sum())
    return float(binomtest(won, won + lost, 0.5).pvalue) if won + lost else 1.0


def sign_flip(differences: Floats, *, seed: int, resamples: int) -> float:
    """Permutation test of a mean of zero: under no difference, each item's sign is a fair coin's.

    The observed arrangement counts as one of them, so the p value is never 0 (Phipson and Smyth 2010). Nor is it below
    ``1/(resamples + 1)``, but a late candidate of a month may need less than that (``spending.level``): while fewer
    than ten arrangements are as extreme, up to twenty times as many are drawn (after Besag and Clifford 1991).
    """
    moved = differences[differences != 0]
    if not moved.size:
        return 1.0
    rng, observed, extreme, done = np.random.default_rng(seed), abs(float(moved.sum())), 0, 0
    while done < resamples or (extreme < _EXCEEDANCES and done < _LONGER * resamples):
        size = min(_CHUNK, resamples - done) if done < resamples else _CHUNK
        signs = rng.integers(0, 2, size=(size, moved.size)) * 2 - 1
        extreme += int((np.abs(signs @ moved) >= observed - 1e-12).sum())
        done += size
    return (extreme + 1) / (done + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: adjusted p values in the given order (Holm 1979)."""
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def items_to_decide(delta: float, deviation: float, *, alpha: float, power: float = 0.8) -> int | None:
    """Items at which a true difference ``delta`` is found significant with ``power``; None where it is 0.

    The normal approximation ``((z_{1-alpha/2} + z_power) * deviation / delta)^2`` of a paired comparison.
    """
    from scipy.stats import norm

    if delta == 0 or deviation == 0:
        return None
    return math.ceil(((float(norm.isf(alpha / 2)) + float(norm.ppf(power))) * deviation / delta) ** 2)


def _is_binary(scores: Floats) -> bool:
    return bool(np.isin(scores, (0.0, 1.0)).all())
