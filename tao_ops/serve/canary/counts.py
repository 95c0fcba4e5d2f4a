"""What is counted of one arm's requests: plain sums, so that many servers' counts add up."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

STEPS = 8
"""Buckets of the histogram by which seconds double: a bucket's bounds are 9 % apart."""
_FIRST_S = 0.01
_LAST = STEPS * 16
"""The bucket of 655 s and above."""


@dataclass
class Counts:
    """Sums over the requests of one arm.

    Attributes:
        requests: those that were not cut off by the client; ``errors``: of these, those that failed.
        judged: answers whose words were looked at; ``refused``: of these, refusals.
        formatted: answers of tasks that have a schema; ``invalid``: of these, those of another form.
        verified: answers on which a verifier decided; ``incorrect``: of these, those that it finds wrong.
        answers: those whose tokens are known; ``tokens``: the sum of these; ``squares``: of their squares.
        seconds: answers by the :func:`bucket` of their seconds; ``first_seconds``: of those to the first byte.
        dropped: answers that nothing was counted of, since too many waited.
    """

    requests: int = 0
    errors: int = 0
    judged: int = 0
    refused: int = 0
    formatted: int = 0
    invalid: int = 0
    verified: int = 0
    incorrect: int = 0
    answers: int = 0
    tokens: int = 0
    squares: int = 0
    dropped: int = 0
    seconds: Counter[int] = field(default_factory=Counter)
    first_seconds: Counter[int] = field(default_factory=Counter)

    def __add__(self, other: "Counts") -> "Counts":
        """Both together."""
        return Counts(**{each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)})

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        told = {each.name: getattr(self, each.name) for each in fields(self)}
        return {k: {str(b): n for b, n in sorted(v.items())} if isinstance(v, Counter) else v for k, v in told.items()}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "Counts":
        """The inverse of :meth:`as_dict`; what another release counted beside is left out."""
        known = {each.name for each in fields(cls)}
        found: dict[str, Any] = {
            name: Counter({int(number): n for number, n in value.items()}) if isinstance(value, dict) else value
            for name, value in told.items()
            if name in known
        }
        return cls(**found)


def bucket(seconds: float) -> int:
    """The number of the first bucket whose :func:`bound` is not below ``seconds``.

    >>> bucket(0.001), bucket(0.02), bucket(1e9)
    (0, 8, 128)
    """
    if seconds <= _FIRST_S:
        return 0
    return min(_LAST, math.ceil(STEPS * math.log2(seconds / _FIRST_S) - 1e-9))


def bound(number: int) -> float:
    """The upper bound of a bucket, in seconds; the last one has none.

    >>> bound(8), bound(128)
    (0.02, inf)
    """
    return math.inf if number >= _LAST else _FIRST_S * 2 ** (number / STEPS)


def quantile(histogram: Mapping[int, int], share: float) -> float:
    """The upper bound, in seconds, of the bucket that holds a quantile; ``nan`` of nothing.

    >>> quantile({8: 95, 16: 5}, 0.95), quantile({8: 94, 16: 6}, 0.95)
    (0.02, 0.04)
    """
    left = share * sum(histogram.values())
    for number in sorted(histogram):
        left -= histogram[number]
        if left <= 1e-9:
            return bound(number)
    return math.nan
