"""Quality against tokens for each policy, replayed on a pool."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.exploration.pool import Pool
from benchmarks.exploration.tasks import Labelled
from tao_ops import exploration
from tao_ops.config import GenerateConfig
from tao_ops.exploration import Budget, Explored, Found, Policy, Rule, Way

REPLAYS = 20


@dataclass(frozen=True)
class Point:
    """What one replay spent and found.

    Attributes:
        tokens: sampled, for all queries.
        reward: best reward of a query, averaged; all responses of the pool vote on what agrees.
        found: share of queries with a right response among those sampled (pass@n).
        picked: share of queries whose best response, the one that would be trained on, is right.
        picks: share of queries that have a pick at all.
    """

    tokens: int
    reward: float
    found: float
    picked: float
    picks: float

    @property
    def precision(self) -> float:
        """Share of the picks that are right."""
        return self.picked / self.picks if self.picks else 0.0


def only(explored: Explored, strategies: Sequence[str] | None, samples: int | None) -> Explored:
    """The task with some of its strategies, and at most so many samples of each."""
    ways = [
        Way(
            way.config
            if samples is None
            else way.config.model_copy(update={"samples": min(samples, way.config.samples)}),
            way.strategy,
            way.max_tokens,
        )
        for way in explored.ways
        if strategies is None or way.name in strategies
    ]
    return replace(explored, ways=ways)


def replay(
    task: Labelled, pool: Pool, explored: Explored, policy: Policy, seed: int, tokens: int | None = None
) -> tuple[Point, Found]:
    """One exploration out of the pool, and what it found."""
    config = GenerateConfig()
    rule = Rule(config.confidence, task.flywheel.update.min_reward)
    found = exploration.explore(
        task.prompts,
        {task.name: explored},
        sampled=pool.replay(seed),
        policy=policy,
        budget=Budget(tokens=tokens),
        rule=rule,
        say=lambda line: None,
    )
    return _point(task, found, rule.min_reward), found


def _point(task: Labelled, found: Found, min_reward: float) -> Point:
    right: dict[str, bool] = defaultdict(bool)
    best: dict[str, tuple[float, str]] = {}
    for response, scored in found.scored:
        query_id = response.wanted.prompt.query_id
        right[query_id] |= task.right(query_id, response.answer)
        if scored.reward > best.get(query_id, (-1.0, ""))[0]:
            best[query_id] = scored.reward, response.answer
    picks = {query_id: answer for query_id, (reward, answer) in best.items() if reward >= min_reward}
    n = len(task.prompts)
    return Point(
        found.tokens,
        sum(reward for reward, _ in best.values()) / n,
        sum(right.values()) / n,
        sum(task.right(query_id, answer) for query_id, answer in picks.items()) / n,
        len(picks) / n,
    )


def reached(curve: Sequence[Sequence[Point]], quality: str, goal: float, replay: int) -> float:
    """Tokens at which one replay of a curve first reaches a quality, between its points by a straight line.

    Infinite where it never does.
    """
    before = (0.0, 0.0)
    for points in curve:
        point = points[replay]
        value = getattr(point, quality)
        if value >= goal:
            share = (goal - before[1]) / (value - before[1]) if value > before[1] else 1.0
            return before[0] + share * (point.tokens - before[0])
        before = (float(point.tokens), max(value, before[1]))
    return math.inf
