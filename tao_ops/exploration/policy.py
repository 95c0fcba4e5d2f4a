"""Who is asked next: uniformly, or where another sample is likely to help.

Adaptive exploration joins two published ideas. A query is settled, and gets no more samples, once its leading answer is
the majority with a given probability (Adaptive-Consistency, Aggarwal et al., arXiv 2305.11860, Beta form). The samples
of the others go to strategies by Thompson sampling on reward per token (Thompson 1933; with costs: Xia et al., IJCAI
2015), where each query's own outcomes weigh against its task's.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tao_ops.config import GenerateConfig
from tao_ops.exploration.budget import Budget
from tao_ops.exploration.sampler import Response, Wanted, Way
from tao_ops.exploration.yields import Yield, Yields
from tao_ops.records import Prompt
from tao_ops.rewards import Scored
from tao_ops.rewards.consensus import majority

STRENGTH = 4.0
"""How many of a query's own samples weigh as much as what its task says of a strategy."""


@dataclass
class Query:
    """A prompt, what was sampled of it, and what that is worth."""

    prompt: Prompt
    ways: Sequence[Way]
    responses: list[Response] = field(default_factory=list)
    scored: list[Scored] = field(default_factory=list)
    closed: set[str] = field(default_factory=set)
    """Strategies whose conversation did not fit into the context."""
    asked: Counter[str] = field(default_factory=Counter)
    """Samples by strategy, those on their way among them."""
    settled: bool = False

    def open_ways(self) -> list[Way]:
        """The strategies that may still be asked."""
        return [w for w in self.ways if w.name not in self.closed and self.asked[w.name] < w.config.samples]

    def want(self, way: Way, number: int) -> Wanted:
        """The next response by this strategy, in round ``number``."""
        self.asked[way.name] += 1
        return Wanted(self.prompt, way, self.asked[way.name] - 1, number)


def settled(answers: Sequence[str], verified: Sequence[float], confidence: float) -> bool:
    """Whether the leading one of the answers that no verifier objects to is the majority with this probability.

    Args:
        answers: as they are compared; empty where there is none.
        verified: what the verifiers say of each.
        confidence: the least :func:`~tao_ops.rewards.consensus.majority` of the leader against the next.

    >>> settled(["x", "x", "x"], [1, 1, 1], 0.9), settled(["x", "x", "y"], [1, 1, 1], 0.9), settled(["x"], [0], 0.9)
    (True, False, False)
    """
    votes = Counter(a for a, v in zip(answers, verified, strict=True) if v >= 1.0 and a)
    (_, first), (_, second) = (*votes.most_common(2), ("", 0), ("", 0))[:2]
    return first > 0 and majority(first, second) >= confidence


class Policy(Protocol):
    """Who is asked next."""

    def wanted(self, number: int, queries: Sequence[Query], budget: Budget, yields: Yields) -> list[Wanted]:
        """The responses of a round; empty where nothing is left to do or to spend.

        Args:
            number: the round's, from 1.
            queries: all of the shard's, with what is known of them.
            budget: what may be spent; what the round may cost at most is taken from it.
            yields: of this turn so far.
        """
        ...


class Uniform:
    """Every query gets every strategy's samples; where the budget is short, all queries get equally many."""

    def wanted(self, number: int, queries: Sequence[Query], budget: Budget, yields: Yields) -> list[Wanted]:
        """All that certainly fit into the budget."""
        return _taken(_evenly(queries), budget, number)


def _evenly(queries: Sequence[Query]) -> Iterator[tuple[Query, Way]]:
    longest = max((way.config.samples for query in queries for way in query.ways), default=0)
    for sample in range(longest):
        for query in queries:
            for way in query.open_ways():
                if query.asked[way.name] == sample:
                    yield query, way


class Adaptive:
    """In rounds: few samples for all, then more, twice as many each time, for those that are not settled."""

    def __init__(self, config: GenerateConfig, prior: Yields, seed: int) -> None:
        self._config, self._prior = config, prior
        self._random = random.Random(seed)

    def wanted(self, number: int, queries: Sequence[Query], budget: Budget, yields: Yields) -> list[Wanted]:
        """Those that are likeliest to help come first, and the budget ends them."""
        each = self._config.first * 2 ** max(0, number - 2)
        drawn: list[tuple[float, Query, Way]] = []
        for query in queries:
            if not query.settled:
                drawn += self._draw(query, each, yields.get(query.prompt.task, {}))
        drawn.sort(key=lambda one: -one[0])  # stable: of equals the longer query, as they come
        return _taken(((query, way) for _, query, way in drawn), budget, number)

    def _draw(self, query: Query, samples: int, yields: Mapping[str, Yield]) -> list[tuple[float, Query, Way]]:
        """Strategies for the next ``samples`` of a query, each with the reward per token that was drawn for it."""
        prior = self._prior.get(query.prompt.task, {})
        known = {w.name: prior.get(w.name, Yield()).plus(yields.get(w.name, Yield())) for w in query.ways}
        mine = _own(query)
        left = {way.name: way.config.samples - query.asked[way.name] for way in query.open_ways()}
        found = []
        for _ in range(samples):
            ways = [way for way in query.ways if left.get(way.name)]
            if not ways:
                break
            values = {way.name: self._value(way, known[way.name], mine.get(way.name, (0, 0.0))) for way in ways}
            best = max(ways, key=lambda way: values[way.name])
            way = self._random.choice(ways) if self._random.random() < self._config.floor else best
            left[way.name] -= 1
            found.append((values[way.name], query, way))
        return found

    def _value(self, way: Way, known: Yield, own: tuple[int, float]) -> float:
        """Reward per token, drawn from what is known of the strategy in the task and in this query."""
        task = self._random.betavariate(1 + known.reward, 1 + max(0.0, known.samples - known.reward))
        samples, reward = own
        drawn = self._random.betavariate(
            1e-3 + STRENGTH * task + reward, 1e-3 + STRENGTH * (1 - task) + samples - reward
        )
        # Of a strategy that nothing is known of: half of what it can cost.
        cost = (known.tokens + way.bound / 2) / (known.samples + 1)
        return drawn / cost


def _own(query: Query) -> dict[str, tuple[int, float]]:
    """A query's own samples and rewards by strategy."""
    found: dict[str, tuple[int, float]] = {}
    for response, scored in zip(query.responses, query.scored, strict=True):
        name = response.wanted.way.name
        samples, reward = found.get(name, (0, 0.0))
        if scored.reward is not None:
            found[name] = samples + 1, reward + scored.reward
    return found


def _taken(asked: Iterator[tuple[Query, Way]], budget: Budget, number: int) -> list[Wanted]:
    wanted = []
    for query, way in asked:
        if budget.take(way.bound):  # where a dear one does not fit any more, a cheaper one may
            wanted.append(query.want(way, number))
    return wanted
