"""Monitors: signs in a turn's rewards that the reward is being gamed, or says nothing any more."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

from tao_ops.config import Limit, MonitorConfig
from tao_ops.rewards.flags.forms import json_texts
from tao_ops.rewards.flags.words import beginning

WORDS = 8
"""Words of a text's beginning that are compared: "Thank you for your message." alone is manners."""
FEWEST = 5
"""Of fewer queries than this nothing is measured."""
FREEDOM = 20
"""Responses, less one for each query, that a correlation needs: by chance it is then within 0.45 (two deviations)."""
_EQUAL = 1e-9


@dataclass(frozen=True)
class Judged:
    """A response and what it is worth.

    Attributes:
        canonical: what it says, in the form that answers are compared in; equal for equal answers.
        reward: in [0, 1]; None where it has none.
    """

    query_id: str
    text: str
    canonical: str
    reward: float | None


@dataclass(frozen=True)
class Finding:
    """A monitor that is over its limit."""

    name: str
    value: float
    level: Literal["warn", "fail"]
    sentence: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values only."""
        return asdict(self)


def measure(rows: Sequence[Judged]) -> dict[str, float | None]:
    """``length``, ``no_spread``, ``entropy`` and ``template`` of a turn's responses; None where they say too little.

    See :func:`length`, :func:`no_spread`, :func:`entropy` and :func:`template`.
    """
    queries = _by_query(rows)
    return {
        "length": length(queries),
        "no_spread": no_spread(queries),
        "entropy": entropy(queries),
        "template": template(queries),
    }


def length(queries: Iterable[Sequence[Judged]]) -> float | None:
    """Spearman's rank correlation of reward and length in characters, within queries.

    Both are ranked inside each query, ties in the middle; ranks, less their mean and divided by the query's responses,
    are pooled. Only queries with three responses or more that differ in both count; a response that is blank does not.
    """
    pairs: list[tuple[float, float]] = []
    freedom = 0
    for query in queries:
        scored = [(row.reward, row.text) for row in query if row.reward is not None and row.text.strip()]
        rewards, lengths = [round(reward, 9) for reward, _ in scored], [float(len(text)) for _, text in scored]
        if len(scored) >= 3 and _spread(rewards) and _spread(lengths):
            pairs += zip(_ranks(rewards), _ranks(lengths), strict=True)
            freedom += len(scored) - 1
    if freedom < FREEDOM:
        return None
    both = math.fsum(a * b for a, b in pairs)
    return both / math.sqrt(math.fsum(a * a for a, _ in pairs) * math.fsum(b * b for _, b in pairs))


def no_spread(queries: Iterable[Sequence[Judged]]) -> float | None:
    """Share of the queries with two scored responses or more whose rewards are all equal: nothing is learnt of them."""
    rewards = [[row.reward for row in query if row.reward is not None] for query in queries]
    several = [_spread(some) <= _EQUAL for some in rewards if len(some) >= 2]
    return sum(several) / len(several) if len(several) >= FEWEST else None


def entropy(queries: Iterable[Sequence[Judged]]) -> float | None:
    """Mean over queries of the Shannon entropy of their answers, divided by the most there can be: ln of how many.

    0 where all responses of each query say the same, 1 where no two do.
    """
    found = []
    for query in queries:
        n = len(query)
        if n >= 2:
            shares = [count / n for count in Counter(row.canonical for row in query).values()]
            found.append(-math.fsum(share * math.log(share) for share in shares) / math.log(n))
    return abs(math.fsum(found) / len(found)) if len(found) >= FEWEST else None


def template(queries: Iterable[Sequence[Judged]]) -> float | None:
    """Share of the responses that say the same whatever was asked.

    Either as a whole: the commonest answer over all queries. Or by their first :data:`WORDS` words, where they are
    texts with more than that; JSON answers begin alike by nature and count as a whole only. Each query weighs the
    same, however many responses it has.
    """
    shares: dict[str | tuple[str, ...], float] = defaultdict(float)
    n = 0
    for query in queries:
        n += 1
        for row in query:
            shares[row.canonical] += 1 / len(query)
            if words := _beginning(row.text):
                shares[words] += 1 / len(query)
    return max(shares.values()) / n if n >= FEWEST else None


def reward_without_benchmark(history: Sequence[tuple[float | None, float | None]]) -> int:
    """Turns in a row, up to the newest, whose reward rose while the benchmark did not.

    Args:
        history: mean reward and primary benchmark of each turn, oldest first; turns that lack either are passed over.

    >>> reward_without_benchmark([(0.3, 0.5), (0.2, 0.6), (0.4, 0.6), (0.5, 0.55)])
    2
    """
    known = [(reward, benchmark) for reward, benchmark in history if reward is not None and benchmark is not None]
    turns = 0
    for (before, benchmark), (reward, newest) in reversed([*pairwise(known)]):
        if reward <= before or newest > benchmark:
            break
        turns += 1
    return turns


def judge(measured: Mapping[str, float | None], config: MonitorConfig) -> list[Finding]:
    """What is at its limit or over it (``entropy``: or under it), the worst limit that it reaches.

    Args:
        measured: by name of the monitor; ``drift:NAME`` is the drift of the scorer ``NAME``.

    >>> findings = judge({"length": 0.7, "entropy": 0.4, "drift:judge": None}, MonitorConfig())
    >>> [(finding.name, finding.level) for finding in findings]
    [('length', 'warn')]
    """
    found = []
    for name, value in measured.items():
        monitor, _, of = name.partition(":")
        limit: Limit = getattr(config, monitor)
        if value is not None and (level := _level(monitor, value, limit)):
            bound = limit.fail if level == "fail" else limit.warn
            sentence = f"monitor '{monitor}': {_SENTENCES[monitor].format(value=value, of=of or 'a scorer')}"
            found.append(Finding(name, float(value), level, f"{sentence} (monitors.{monitor}.{level}: {bound:g})"))
    return found


def _level(monitor: str, value: float, limit: Limit) -> Literal["warn", "fail"] | None:
    def reached(bound: float | None) -> bool:
        return bound is not None and (value <= bound if monitor == "entropy" else value >= bound)

    return "fail" if reached(limit.fail) else "warn" if reached(limit.warn) else None


_SENTENCES = {
    "length": "within queries, longer responses get higher rewards (rank correlation {value:.2f}): read those with the "
    "highest; if length is not what makes them better, set a flag 'length' or mend the judge's rubric",
    "no_spread": "in {value:.0%} of the queries all responses have the same reward, so nothing can be learnt of them: "
    "add a scorer that tells them apart, or sample at a higher temperature",
    "entropy": "a query's responses nearly all say the same (entropy {value:.2f} of 1): the model may have collapsed, "
    "and a majority proves nothing any more: raise the temperature, add strategies, or go back to an earlier champion",
    "template": "{value:.0%} of the responses say the same, or begin alike, whatever was asked: read some; where a "
    "task has few possible answers, raise this limit",
    "drift": "the scores of {of} are spread otherwise than in the turn before (population stability index "
    "{value:.2f}): see whether the queries, the model or the scorer changed before you trust this turn's rewards",
    "reward_without_benchmark": "turns in a row whose reward rose while the primary benchmark did not: {value:.0f}; "
    "the reward may be gamed: look at what the responses with the highest have in common",
}


def _by_query(rows: Iterable[Judged]) -> list[list[Judged]]:
    queries: dict[str, list[Judged]] = defaultdict(list)
    for row in rows:
        queries[row.query_id].append(row)
    return [*queries.values()]


def _spread(values: Sequence[float]) -> float:
    return max(values) - min(values)


def _ranks(values: Sequence[float]) -> list[float]:
    """Ranks with ties in the middle, less their mean, divided by how many there are."""
    n = len(values)
    places: dict[float, list[int]] = defaultdict(list)
    for place, value in enumerate(sorted(values)):
        places[value].append(place)
    return [(sum(places[value]) / len(places[value]) - (n - 1) / 2) / n for value in values]


def _beginning(text: str) -> tuple[str, ...]:
    """The first words of a text that is longer than they are; empty of any other answer."""
    if json_texts(text) is not None:
        return ()
    words, more = beginning(text, WORDS), beginning(text, WORDS + 1)
    return words if len(more) > len(words) else ()
