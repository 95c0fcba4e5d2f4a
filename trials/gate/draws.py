"""Right and wrong answers of two models that are asked the same items, and McNemar's p value of many such pairs.

An item's ease is the probability that a model answers it right. Eases are Beta distributed, with much weight near 0 and
1: two models of equal ease agree on most items, though their answers are independent given the item. A better model
mends a share of what would be wrong.
"""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Eases = NDArray[np.float32]
Bools = NDArray[np.bool_]

SPREAD = 1.0
"""a + b of the Beta distribution: the answers of two equal models correlate by ``1 / (SPREAD + 1)``."""


def discordance(accuracy: float) -> float:
    """Share of items that two equal models of this accuracy answer differently.

    >>> round(discordance(0.5), 3), round(discordance(0.3), 3)
    (0.25, 0.21)
    """
    return 2 * accuracy * (1 - accuracy) * SPREAD / (SPREAD + 1)


def eases(rng: np.random.Generator, accuracy: float, shape: tuple[int, ...]) -> Eases:
    """Eases with mean ``accuracy``."""
    return rng.beta(accuracy * SPREAD, (1 - accuracy) * SPREAD, shape).astype(np.float32)


def mended(ease: Eases, accuracy: float, to: Floats | float) -> Eases:
    """The eases of a model of accuracy ``to`` (a number, or one a row) on items whose mean ease was ``accuracy``."""
    left = (1 - np.minimum(1.0, np.asarray(to))) / (1 - accuracy)
    return (1 - (1 - ease) * left.astype(np.float32)[..., None]).astype(np.float32)


def discordant(rng: np.random.Generator, trials: int, n: int, differ: float, delta: float) -> tuple[Ints, Ints]:
    """Of ``n`` items those that only the champion got right, and those that only the candidate did.

    Args:
        differ: share of items that the two answer differently.
        delta: true difference of their accuracies.
    """
    lost, won = (differ - delta) / 2, (differ + delta) / 2
    counts = rng.multinomial(n, [lost, won, 1 - differ], size=trials)
    return counts[:, 0], counts[:, 1]


def p_values(lost: Ints, won: Ints) -> Floats:
    """McNemar's exact two-sided p values: ``paired.mcnemar``, for many pairs at once.

    >>> p_values(np.array([0, 3, 5]), np.array([5, 14, 5])).round(4).tolist()
    [0.0625, 0.0127, 1.0]
    """
    from scipy.stats import binom

    few, both = np.minimum(lost, won), lost + won
    base = int(both.max(initial=0)) + 1
    pairs, back = np.unique(few * base + both, return_inverse=True)
    told = np.minimum(1.0, 2 * binom.cdf(pairs // base, pairs % base, 0.5))
    return told[back].reshape(np.shape(lost))
