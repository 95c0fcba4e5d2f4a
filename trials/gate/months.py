"""Thirty nights of candidates against a champion, over the same items each night, by several ways to spend alpha.

The champion's answers are kept from night to night, as in the gate, so the nights' tests depend on each other: a
champion that was lucky on these items is hard to beat every night, an unlucky one easy. What is promoted is the next
champion, with its answers of that night.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tao_ops.benchmarks import spending
from trials.gate import draws
from trials.gate.draws import Bools, Floats, Ints

ALPHA = 0.05
NIGHTS = 30
ACCURACY = 0.5
_CHUNK = 500
_LORD = 0.07720838
"""Makes the sequence below add up to 1 (Javanmard and Montanari 2018, eq. 31)."""

Levels = Callable[[Ints, Bools], Floats]
"""Levels of tonight's tests: of each month's candidates since its champion (from 1), and of its promotions so far."""


def by_power(exponent: float) -> Levels:
    """``alpha k^-exponent``, of which all k together spend alpha."""
    from scipy.special import zeta

    total = float(zeta(exponent))
    return lambda k, _: ALPHA * k.astype(np.float64) ** -exponent / total


def lord(k: Ints, promoted: Bools) -> Floats:
    """LORD++ (Ramdas and others 2017) with half of alpha to begin with: promotions earn, and no count begins anew."""
    night = promoted.shape[1]
    ages = np.arange(night + 1, 0, -1)
    gamma = _LORD * np.log(np.maximum(ages, 2)) / (ages * np.exp(np.sqrt(np.log(ages))))
    nth = np.cumsum(promoted, axis=1)
    earned = np.where(nth == 1, ALPHA / 2, ALPHA) * promoted
    return ALPHA / 2 * gamma[0] + earned @ gamma[1:]


SCHEMES: Mapping[str, Levels] = {
    "no budget: alpha each night": lambda k, _: np.full(k.shape, ALPHA),
    "equal shares: alpha / 30": lambda k, _: np.full(k.shape, ALPHA / NIGHTS),
    "k^-1.3": by_power(1.3),
    f"k^-{spending.EXPONENT}": lambda k, _: np.array([0.0, *(spending.level(ALPHA, i) for i in range(1, NIGHTS + 2))])[
        k
    ],
    "k^-2": by_power(2),
    f"k^-{spending.EXPONENT}, one-sided": lambda k, _: 2 * by_power(spending.EXPONENT)(k, _),
    "LORD++": lord,
}
CHOSEN, NONE = f"k^-{spending.EXPONENT}", "no budget: alpha each night"


@dataclass(frozen=True)
class Scenario:
    """What the candidates of a month are.

    Attributes:
        n: items.
        gain: of a better candidate, over the champion of its night.
        better: "none", "weekly" (one night of each whole week, at random) or "all".
    """

    n: int
    gain: float = 0.0
    better: str = "none"


SCENARIOS: Mapping[str, Scenario] = {
    "none": Scenario(300),
    "weekly +5, 300 items": Scenario(300, 0.05, "weekly"),
    "weekly +5, 1000 items": Scenario(1000, 0.05, "weekly"),
    "weekly +10, 300 items": Scenario(300, 0.10, "weekly"),
    "every night +5, 1000 items": Scenario(1000, 0.05, "all"),
}


@dataclass
class _Course:
    """One way to spend, through all months at once."""

    answers: Bools
    steps: Ints
    count: Ints
    promoted: Bools
    false: Bools

    @classmethod
    def begin(cls, answers: Bools) -> "_Course":
        months = len(answers)
        return cls(
            answers.copy(),
            np.zeros(months, np.int64),
            np.ones(months, np.int64),
            np.zeros((months, 0), bool),
            np.zeros((months, 0), bool),
        )

    def night(self, levels: Levels, answers: Bools, better: Bools) -> None:
        lost, won = (np.count_nonzero(one, axis=1) for one in (self.answers & ~answers, answers & ~self.answers))
        promoted = (draws.p_values(lost, won) < levels(self.count, self.promoted)) & (won > lost)
        self.answers[promoted] = answers[promoted]
        self.steps += promoted & better
        self.count = np.where(promoted, 1, self.count + 1)
        self.promoted = np.column_stack([self.promoted, promoted])
        self.false = np.column_stack([self.false, promoted & ~better])


def simulate(
    scenario: Scenario, months: int, seed: int, schemes: Mapping[str, Levels] = SCHEMES
) -> dict[str, dict[str, Any]]:
    """What each way to spend comes to; all of them see the same items and the same luck."""
    rng, told = np.random.default_rng(seed), {name: list[tuple[Bools, Bools]]() for name in schemes}
    for start in range(0, months, _CHUNK):
        for name, course in _chunk(rng, scenario, min(_CHUNK, months - start), schemes).items():
            told[name].append((course.promoted, course.false))
    return {name: _summary(*(np.concatenate(one) for one in zip(*parts, strict=True))) for name, parts in told.items()}


def _chunk(
    rng: np.random.Generator, scenario: Scenario, months: int, schemes: Mapping[str, Levels]
) -> dict[str, _Course]:
    ease = draws.eases(rng, ACCURACY, (months, scenario.n))
    first = rng.random(ease.shape, np.float32) < ease
    courses = {name: _Course.begin(first) for name in schemes}
    better = _better(rng, scenario, months)
    for night in range(NIGHTS):
        luck = rng.random(ease.shape, np.float32)
        for name, course in courses.items():
            to = ACCURACY + scenario.gain * (course.steps + better[:, night])
            course.night(schemes[name], luck < draws.mended(ease, ACCURACY, to), better[:, night])
    return courses


def _better(rng: np.random.Generator, scenario: Scenario, months: int) -> Bools:
    better = np.full((months, NIGHTS), scenario.better == "all")
    if scenario.better == "weekly":
        for monday in range(0, NIGHTS - 6, 7):
            better[np.arange(months), monday + rng.integers(0, 7, months)] = True
    return better


def _summary(promoted: Bools, false: Bools) -> dict[str, Any]:
    months = len(promoted)
    until = [int(row.argmax()) + 1 if row.any() else None for row in promoted]
    return {
        "months": months,
        "false_months": float(false.any(axis=1).mean()),
        "false_a_month": float(false.sum(axis=1).mean()),
        "true_a_month": float((promoted & ~false).sum(axis=1).mean()),
        "promoted_months": float(promoted.any(axis=1).mean()),
        "median_nights": _median(until),
    }


def _median(until: Sequence[int | None]) -> float | None:
    """Of nights until the first promotion; None where most months have none."""
    middle = sorted(NIGHTS + 1 if one is None else one for one in until)[len(until) // 2]
    return None if middle > NIGHTS else float(middle)
