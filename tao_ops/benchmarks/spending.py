"""How often a champion may be challenged: alpha is a budget of one champion in one calendar month.

Each night brings another candidate to the same champion, over the same items. Tested at ``alpha`` each night, chance
alone would promote one of them sooner or later. So the k-th candidate of the month is tested at ``level(alpha, k)``,
and the levels of all k add up to ``alpha``: by Bonferroni's inequality the probability that any of them is promoted
without being better is at most ``alpha``, however the tests depend on each other. A promotion makes a new champion and
begins a new count. This is alpha-spending for an endless sequence of tests (Foster and Stine 2008; Tian and Ramdas
2021, arXiv:1910.04900); why not another way, and what each costs: ``docs/gate.md``.
"""

EXPONENT = 1.6
"""Of ``k ** -EXPONENT``: the first candidates against a champion get most; the simulations compare others."""


def level(alpha: float, k: int) -> float:
    """The level at which the ``k``-th candidate against a champion in a month is tested: ``alpha k^-1.6 / zeta(1.6)``.

    >>> [round(level(0.05, k), 5) for k in (1, 2, 7, 30)]
    [0.02187, 0.00722, 0.00097, 9e-05]

    Raises:
        ValueError: ``alpha`` is not between 0 and 1, or ``k`` is less than 1.
    """
    from scipy.special import zeta

    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be between 0 and 1, not {alpha}")
    if k < 1:
        raise ValueError(f"candidates are counted from 1, not {k}")
    return float(alpha * k**-EXPONENT / zeta(EXPONENT))
