"""What the judge said, read from its first token's probabilities; and which responses are compared."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tao_ops.records import Candidate

FLOOR = 0.01
"""Least probability that the judge's answer begins with any of the words it was asked for."""
NO_ANSWER, ALONE = "no clear answer", "nothing to compare"


def shares(told: Mapping[str, float] | str, words: Sequence[str]) -> dict[str, float] | str:
    """How the probability of ``words`` is spread over them, summing to 1; or the reason why nobody knows.

    >>> shares({"Yes": math.log(0.5), "No": math.log(0.25), "Maybe": -1.5}, ["Yes", "No"])["No"]
    0.3333333333333333
    >>> shares({"Yes": math.log(0.001)}, ["Yes", "No"])
    'no clear answer'
    """
    if isinstance(told, str):
        return told
    mass = {word: _probability(told.get(word)) for word in words}
    total = sum(mass.values())
    return {word: p / total for word, p in mass.items()} if total >= FLOOR else NO_ANSWER


@dataclass
class Group:
    """The different responses to one query.

    Attributes:
        candidate: any of its candidates: whose query, context and reference are shown.
        voters: texts that are compared with each other, in an order that says nothing of who found them.
        others: texts, probes, that are compared with the voters, and the voters not with them.
    """

    candidate: Candidate
    voters: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def groups(batch: Sequence[Candidate]) -> dict[str, Group]:
    """The different responses of each query, by its id."""
    pools: dict[str, list[Candidate]] = {}
    for candidate in batch:
        pools.setdefault(candidate.query_id, []).append(candidate)
    found = {query_id: Group(mine[0]) for query_id, mine in pools.items()}
    for query_id, group in found.items():
        mine = pools[query_id]
        group.voters = sorted({c.text for c in mine if c.votes}, key=_order)
        group.others = sorted({c.text for c in mine} - set(group.voters), key=_order)
    return found


def _probability(logprob: float | None) -> float:
    return math.exp(min(logprob, 0.0)) if logprob is not None and not math.isnan(logprob) else 0.0


def _order(text: str) -> tuple[bytes, str]:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest(), text
