"""A regression on one slice that the mean hides: how often it is caught, and how often one is seen where there is none.

Ten slices of equally many items. On one of them the candidate falls; on the others it rises, so that the mean rises.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tao_ops.config.gate import GateConfig
from trials.gate import draws
from trials.gate.draws import Floats, Ints

SLICES = 10


@dataclass(frozen=True)
class Planted:
    """Accuracies on the planted slice before and after, and of the candidate's gain elsewhere; ``items`` a slice."""

    items: int
    before: float
    after: float
    elsewhere: float


CASES = (
    Planted(30, 0.7, 0.3, 0.08),
    Planted(15, 0.7, 0.3, 0.08),
    Planted(60, 0.7, 0.3, 0.08),
    Planted(30, 0.7, 0.5, 0.05),
    Planted(100, 0.7, 0.5, 0.05),
    Planted(30, 0.7, 0.7, 0.0),
    Planted(30, 0.7, 0.7, 0.05),
)


def simulate(case: Planted, trials: int, seed: int) -> dict[str, Any]:
    """Shares of candidates that a slice, the right slice, and the mean alone reject; and how often the mean rose."""
    rng, config = np.random.default_rng(seed), GateConfig()
    lost, won = counts(rng, case, trials)
    fell = rejected(lost, won, case.items, config)
    all_lost, all_won = lost.sum(axis=1), won.sum(axis=1)
    return {
        "items": case.items,
        "n": SLICES * case.items,
        "before": case.before,
        "after": case.after,
        "elsewhere": case.elsewhere,
        "true_mean": (case.after - case.before + (SLICES - 1) * case.elsewhere) / SLICES,
        "rejected": float(fell.any(axis=1).mean()),
        "planted_slice": float(fell[:, 0].mean()),
        "another_slice": float(fell[:, 1:].any(axis=1).mean()),
        "mean_rose": float((all_won > all_lost).mean()),
        "by_the_mean": float(((draws.p_values(all_lost, all_won) < config.alpha) & (all_won < all_lost)).mean()),
    }


def counts(rng: np.random.Generator, case: Planted, trials: int) -> tuple[Ints, Ints]:
    """Items of each slice that only the champion, and that only the candidate got right: two of (trials, slices)."""
    changes = [case.after - case.before, *[case.elsewhere] * (SLICES - 1)]
    drawn = [_slice(rng, case.items, case.before, change, trials) for change in changes]
    return np.stack([lost for lost, _ in drawn], axis=1), np.stack([won for _, won in drawn], axis=1)


def _slice(rng: np.random.Generator, items: int, accuracy: float, change: float, trials: int) -> tuple[Ints, Ints]:
    low, high = sorted((accuracy, accuracy + change))
    ease = draws.eases(rng, low, (trials, items))
    better = rng.random(ease.shape, np.float32) < draws.mended(ease, low, high)
    worse = rng.random(ease.shape, np.float32) < ease
    champion, candidate = (worse, better) if change > 0 else (better, worse)
    return np.count_nonzero(champion & ~candidate, axis=1), np.count_nonzero(candidate & ~champion, axis=1)


def rejected(lost: Ints, won: Ints, items: int, config: GateConfig) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which slices the rule rejects: significantly lower after Holm's correction, and by more than the tolerance."""
    half = draws.p_values(lost, won) / 2
    return (holm(np.where(lost > won, half, 1 - half)) < config.alpha) & ((won - lost) / items < -config.tolerance)


def holm(p_values: Floats) -> Floats:
    """``paired.holm`` of each row."""
    order = np.argsort(p_values, axis=1, kind="stable")
    width = p_values.shape[1]
    scaled = np.minimum(1.0, np.take_along_axis(p_values, order, 1) * np.arange(width, 0, -1))
    adjusted = np.empty_like(p_values)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(scaled, axis=1), 1)
    return adjusted
