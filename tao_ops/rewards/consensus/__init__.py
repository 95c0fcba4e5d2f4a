"""``consensus``: agreement among a query's candidates on the same answer (majority vote, TTRL, arXiv 2504.16084).

A JSON object is voted on key by key: two candidates that agree on two of three values agree that far. Against the
vote on whole answers this finds more right responses at the same precision, since a small model seldom gets all
values right twice.

A majority is believed as far as it is broad and sure: a part's score is its share of the votes, times the probability
that it beats the runner-up (Beta, as in Adaptive-Consistency, arXiv 2305.11860); an answer is right only if all of its
parts are, so its score is their product. :mod:`.guard` says when a majority isn't believed at all.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from tao_ops.config import ConsensusConfig
from tao_ops.records import Candidate
from tao_ops.rewards.base import Score
from tao_ops.rewards.consensus.answers import Answer, canonical, json_answer, key_of
from tao_ops.rewards.consensus.guard import collapse, outvoted

__all__ = ["Answer", "canonical", "json_answer", "key_of", "majority", "score"]


def score(
    batch: Sequence[Candidate],
    *,
    config: ConsensusConfig,
    answers: Sequence[Answer | None],
    trust: Sequence[float] = (),
    others: Sequence[float | None] = (),
    guarded: bool = True,
) -> list[Score]:
    """How far the votes of a query stand behind an answer: the product over its parts.

    Args:
        batch: those with ``votes`` decide; the others are only measured against them.
        config: votes, weights and guard.
        answers: what each candidate says, as it is compared; None where that could not be found.
        trust: how much each candidate's vote counts, in [0, 1], say what the verifiers make of it; none: all count 1.
        others: the mean of the other scorers' values, for the guard; none of them: no such check.
        guarded: whether signs of collapse in the whole batch are looked for.

    >>> texts = ['{"a": "x", "b": "y"}', '{"a":"x","b":"z"}', '{"a":"x","b":"y"}', "x"]
    >>> batch = [Candidate("q", "", text) for text in texts]
    >>> config = ConsensusConfig(kind="consensus", name="consensus")
    >>> [round(one.value, 2) for one in score(batch, config=config, answers=[json_answer(t) for t in texts])]
    [0.24, 0.0, 0.24, 0.0]
    """
    if guarded and (reason := collapse(batch, answers, config.guard)):
        return [Score(None, reason)] * len(batch)
    polls = _polls(batch, answers, trust or [1.0] * len(batch), config)
    doubted = outvoted(batch, answers, others, config) if others else set()
    return [
        Score(None, "the other scorers prefer another answer")
        if candidate.query_id in doubted
        else _score(answer, polls.get(candidate.query_id, _Poll()), config.votes)
        for candidate, answer in zip(batch, answers, strict=True)
    ]


@dataclass
class _Poll:
    """The votes of one query: how many candidates, and what they weigh, by part and value."""

    voters: int = 0
    weight: float = 0.0
    counts: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))
    weights: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(float)))


def _polls(
    batch: Sequence[Candidate], answers: Sequence[Answer | None], trust: Sequence[float], config: ConsensusConfig
) -> Mapping[str, _Poll]:
    polls: dict[str, _Poll] = defaultdict(_Poll)
    for candidate, answer, trusted in zip(batch, answers, trust, strict=True):
        if not candidate.votes or not answer or not trusted:
            continue
        poll, weight = polls[candidate.query_id], trusted * config.weights.get(candidate.strategy, 1.0)
        poll.voters += 1
        poll.weight += weight
        for part, value in answer.items():
            poll.counts[part][value] += 1
            poll.weights[part][value] += weight
    return polls


def _score(answer: Answer | None, poll: _Poll, votes: int) -> Score:
    if answer is None:
        return Score(None, "its answer could not be found")
    if not answer:
        return Score(0.0, "an empty answer")
    if poll.voters < votes or not poll.weight:
        return Score(None, "too few candidates to compare with")
    return Score(math.prod(_part(poll, part, value, votes) for part, value in answer.items()))


def _part(poll: _Poll, part: str, value: str, votes: int) -> float:
    if poll.counts[part].get(value, 0) < votes:
        return 0.0
    mine = poll.weights[part][value]
    rival = max((w for other, w in poll.weights[part].items() if other != value), default=0.0)
    return min(1.0, mine / poll.weight) * majority(mine, rival)


@cache
def majority(first: float, second: float) -> float:
    """The probability that an answer with weight ``first`` is the majority against one with ``second``.

    Its share of the two is Beta(first + 1, second + 1) distributed after a uniform prior (arXiv 2305.11860, section 3).

    >>> round(majority(3, 0), 3), majority(2, 2)
    (0.938, 0.5)
    """
    from scipy.stats import beta

    value = float(beta.sf(0.5, first + 1, second + 1))
    return value if math.isfinite(value) else 0.5
