"""Evidence that the candidate is worse, which may be looked at after every request without ever being too quick.

Each function gives the natural logarithm of an e-process: under the hypothesis that the limit is kept, the chance
that it ever exceeds log(1/level), however often it is looked at and whenever one stops, is at most ``level`` (Ville
1939; Ramdas, Grünwald, Vovk, Shafer 2023, "Game-theoretic statistics and safe anytime-valid inference").
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tao_ops.serve.canary.counts import STEPS

P95 = 0.05
"""The share above the 95th percentile."""
FEWEST_ANSWERS = 50
"""Of each arm: the evidence on lengths rests on a central limit theorem."""


@dataclass(frozen=True)
class Share:
    """``hits`` of ``trials``."""

    hits: int
    trials: int

    @property
    def observed(self) -> float:
        """In [0, 1]; 0 of nothing."""
        return self.hits / self.trials if self.trials else 0.0


def of_share(champion: Share, candidate: Share, margin: float) -> float:
    """That the candidate's share exceeds the champion's by more than ``margin``.

    The mixture of both arms' likelihoods over Jeffreys' prior against the largest likelihood that keeps to the limit
    (Robbins 1970; Wasserman, Ramdas, Balakrishnan 2020, "Universal inference").

    >>> of_share(Share(0, 1800), Share(10, 200), 0.0) > math.log(600) > of_share(Share(0, 1800), Share(1, 200), 0.0)
    True
    """
    mixture = _mixture(champion) + _mixture(candidate)
    if candidate.observed <= champion.observed + margin:
        return mixture - _likelihood(champion, champion.observed) - _likelihood(candidate, candidate.observed)
    return mixture - _largest(champion, candidate, margin)


def of_seconds(champion: Mapping[int, int], candidate: Mapping[int, int], slower: float) -> float:
    """That the candidate's 95th percentile of seconds is above ``slower`` times the champion's.

    The champion's percentile lies in one of the buckets; for each, the candidate's share above ``slower`` times that
    bucket's upper bound is tested against 5 %, together with the champion's share above its lower bound, of which
    there must be 5 %. What is said against all buckets holds. ``slower`` is rounded up to whole buckets.
    """
    steps = math.ceil(STEPS * math.log2(slower) - 1e-9)
    least = math.inf
    for number in range(max([*champion, *candidate], default=0) + 2):
        slow = _above(candidate, number + steps)
        kept = _above(champion, number - 1)
        against = _mixture(slow) - _likelihood(slow, min(P95, slow.observed))
        against += _mixture(kept) - _likelihood(kept, max(P95, kept.observed))
        least = min(least, against)
    return least


def longer(
    champion: tuple[int, int, int], candidate: tuple[int, int, int], times: float, level: float, planned: int
) -> bool:
    """Whether the candidate's mean is above ``times`` the champion's, at ``level``.

    By asymptotic confidence sequences, one-sided, half of the level for each arm (Waudby-Smith, Arbour, Sinha,
    Kennedy, Ramdas 2024, "Time-uniform central limit theory and asymptotic confidence sequences", appendix B).

    Args:
        champion: number, sum, and sum of squares.
        candidate: likewise.
        planned: the number at which they are tightest.
    """
    if min(champion[0], candidate[0]) < FEWEST_ANSWERS:
        return False
    low = candidate[1] / candidate[0] - _radius(candidate, level / 2, planned)
    high = champion[1] / champion[0] + _radius(champion, level / 2, planned)
    return low > times * high


def _radius(moments: tuple[int, int, int], level: float, planned: int) -> float:
    n, total, squares = moments
    variance = max(0.0, squares / n - (total / n) ** 2)
    wide = -2 * math.log(level)
    rho = (wide + math.log(wide + 1)) / planned
    grown = n * rho + 1
    return math.sqrt(variance * 2 * grown / (n * n * rho) * math.log1p(math.sqrt(grown) / (2 * level)))


def _above(histogram: Mapping[int, int], number: int) -> Share:
    return Share(sum(n for bucket, n in histogram.items() if bucket > number), sum(histogram.values()))


def _mixture(share: Share) -> float:
    """Log of the mean likelihood over a share that is distributed as Beta(1/2, 1/2)."""
    hits, misses = share.hits, share.trials - share.hits
    return math.lgamma(hits + 0.5) + math.lgamma(misses + 0.5) - math.lgamma(share.trials + 1) - math.log(math.pi)


def _likelihood(share: Share, p: float) -> float:
    """Log of the likelihood of a share ``p``."""
    return _times_log(share.hits, p) + _times_log(share.trials - share.hits, 1.0 - p)


def _times_log(count: int, p: float) -> float:
    if count == 0:
        return 0.0
    return count * math.log(p) if p > 0.0 else -math.inf


def _largest(champion: Share, candidate: Share, margin: float) -> float:
    """The largest log-likelihood of shares that are ``margin`` apart: it is concave, so thirds close in on it."""

    def both(p: float) -> float:
        return _likelihood(champion, p) + _likelihood(candidate, min(1.0, p + margin))

    low, high = 0.0, max(0.0, 1.0 - margin)
    for _ in range(100):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (left, high) if both(left) < both(right) else (low, right)
    return both((low + high) / 2)
