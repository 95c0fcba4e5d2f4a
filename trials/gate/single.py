"""One candidate on one night: how often chance is promoted, how often a better one, and how many items that takes."""

from typing import Any

import numpy as np

from tao_ops.benchmarks import paired, spending
from trials.gate import draws

ALPHA = 0.05
SIZES, ACCURACIES = (100, 300, 1000), (0.3, 0.6)
GAINS, DIFFER = (0.02, 0.03, 0.05, 0.08, 0.10), (0.1, 0.2, 0.3)
NIGHTS = (1, 2, 7, 30)
POWER = 0.8


def no_difference(trials: int, seed: int) -> list[dict[str, Any]]:
    """Shares promoted and rejected where champion and candidate are equally good."""
    rng, rows = np.random.default_rng(seed), []
    for accuracy in ACCURACIES:
        differ = draws.discordance(accuracy)
        for n in SIZES:
            lost, won = draws.discordant(rng, trials, n, differ, 0.0)
            p = draws.p_values(lost, won)
            rows.append(
                {
                    "accuracy": accuracy,
                    "differ": differ,
                    "n": n,
                    "promoted": float(np.mean((p < spending.level(ALPHA, 1)) & (won > lost))),
                    "promoted_at_alpha": float(np.mean((p < ALPHA) & (won > lost))),
                    "rejected": float(np.mean((p < ALPHA) & (won < lost))),
                }
            )
    return rows


def power(trials: int, seed: int, n: int = 300) -> list[dict[str, Any]]:
    """Shares promoted where the candidate is truly better, by the night, and the items that 80 % take on the first."""
    rng, rows = np.random.default_rng(seed), []
    for differ in DIFFER:
        for gain in GAINS:
            if gain > differ:
                continue
            lost, won = draws.discordant(rng, trials, n, differ, gain)
            p = draws.p_values(lost, won)
            promoted = {str(k): float(np.mean((p < spending.level(ALPHA, k)) & (won > lost))) for k in NIGHTS}
            rows.append(
                {
                    "differ": differ,
                    "gain": gain,
                    "n": n,
                    "promoted": promoted,
                    "promoted_at_alpha": float(np.mean((p < ALPHA) & (won > lost))),
                    "items": items(differ, gain, trials, seed),
                    "items_by_formula": paired.items_to_decide(
                        gain, float(np.sqrt(differ - gain**2)), alpha=spending.level(ALPHA, 1), power=POWER
                    ),
                }
            )
    return rows


def items(differ: float, gain: float, trials: int, seed: int) -> int:
    """Items at which a first candidate that is better by ``gain`` is promoted four times in five, to about 2 %."""
    low, high = 10, 20
    while _power(high, differ, gain, trials, seed) < POWER:
        low, high = high, 2 * high
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        if _power(middle, differ, gain, trials, seed) < POWER:
            low = middle
        else:
            high = middle
    return high


def _power(n: int, differ: float, gain: float, trials: int, seed: int) -> float:
    lost, won = draws.discordant(np.random.default_rng(seed), trials, n, differ, gain)
    return float(np.mean((draws.p_values(lost, won) < spending.level(ALPHA, 1)) & (won > lost)))
