"""What strategies have found for what they cost, in this turn and in those before it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tao_ops.lake import Lake
from tao_ops.tables import TURNS
from tao_ops.turn import Turn

DISCOUNT = 0.5
"""A turn's yield counts half as much as that of the turn after it: the champion has changed since."""


@dataclass(frozen=True)
class Yield:
    """What came of one strategy's samples; sums may be fractions where older turns count less.

    Attributes:
        samples: responses.
        tokens: sampled tokens, those of all calls.
        passed: responses whose reward is at least ``update.min_reward``.
        reward: sum of the rewards.
    """

    samples: float = 0
    tokens: float = 0
    passed: float = 0
    reward: float = 0.0

    def plus(self, other: "Yield", weight: float = 1.0) -> "Yield":
        """Both together, the other one ``weight`` times."""
        return Yield(*(a + weight * b for a, b in zip(self._values(), other._values(), strict=True)))

    def _values(self) -> tuple[float, ...]:
        return self.samples, self.tokens, self.passed, self.reward

    def as_dict(self) -> dict[str, Any]:
        """Plain values, and the two figures that a reader wants: pass rate, and tokens for each response that passed.

        >>> Yield(samples=4, tokens=100, passed=2, reward=1.5).as_dict()["tokens_a_pass"]
        50.0
        """
        rate = self.passed / self.samples if self.samples else None
        return {**asdict(self), "pass_rate": rate, "tokens_a_pass": self.tokens / self.passed if self.passed else None}


Yields = Mapping[str, Mapping[str, Yield]]
"""By task and strategy."""


def told(yields: Yields) -> dict[str, dict[str, dict[str, Any]]]:
    """Plain values, as a stage's report holds them."""
    return {task: {name: one.as_dict() for name, one in known.items()} for task, known in yields.items()}


def merged(reports: list[Mapping[str, Mapping[str, Mapping[str, Any]]]]) -> dict[str, dict[str, Yield]]:
    """Yields as reports tell them, of several shards or turns, added up."""
    found: dict[str, dict[str, Yield]] = {}
    for tasks in reports:
        for task, strategies in tasks.items():
            for name, values in strategies.items():
                one = Yield(*(values[key] for key in ("samples", "tokens", "passed", "reward")))
                mine = found.setdefault(task, {})
                mine[name] = mine.get(name, Yield()).plus(one)
    return found


def earlier(lake: Lake, turn: Turn, history: int) -> dict[str, dict[str, Yield]]:
    """Yields of the ``history`` turns before this one, each half as much as the one after it."""
    if not history:
        return {}
    found_rows = lake.read(TURNS, columns=["turn", "shard", "metrics"], flywheel=turn.flywheel, stage="generate")
    # In one order: sums of fractions differ in their last bits otherwise, and with them what is sampled.
    rows = sorted(found_rows.to_pylist(), key=lambda row: (row["turn"], row["shard"]))
    turns: dict[str, list[Any]] = {}
    for row in rows:
        if row["turn"] < turn.key and (found_then := json.loads(row["metrics"]).get("yields")):
            turns.setdefault(row["turn"], []).append(found_then)
    found: dict[str, dict[str, Yield]] = {}
    for age, key in enumerate(sorted(turns, reverse=True)[:history], start=1):
        for task, strategies in merged(turns[key]).items():
            mine = found.setdefault(task, {})
            for name, one in strategies.items():
                mine[name] = mine.get(name, Yield()).plus(one, DISCOUNT**age)
    return found


def sentences(yields: Yields) -> list[str]:
    """A line for each strategy, as the log says it.

    >>> sentences({"mail": {"plain": Yield(samples=8, tokens=240, passed=2, reward=2.5)}})
    ['mail/plain: 8 samples, 240 tokens, 25 % passed, 120 tokens for each that passed']
    """
    lines = []
    for task, strategies in yields.items():
        for name, one in strategies.items():
            each = f", {one.tokens / one.passed:,.0f} tokens for each that passed" if one.passed else ""
            rate = one.passed / max(one.samples, 1)
            lines.append(
                f"{task}/{name}: {one.samples:,.0f} samples, {one.tokens:,.0f} tokens, {rate:.0%} passed{each}"
            )
    return [line.replace("%", " %") for line in lines]
