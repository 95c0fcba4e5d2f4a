"""Each value of a JSON answer is a maximal span of the user's message, and all are distinct.

A span begins and ends at a word's edge. It is maximal where no other candidate of the same query has, for the same
key, a span that holds it and more: "jacket" is not, where the message says "rain jacket" and candidates found that.
A longer span needs as many candidates behind it as the shorter one has divided by :data:`OUTVOTED`, so that one
candidate that copies half a sentence doesn't beat all others. Only candidates that vote are asked.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from tao_ops.records import Candidate
from tao_ops.rewards.base import Score
from tao_ops.rewards.json_schema import fields

_PLACEHOLDER = re.compile(r"<[A-Z]+_\d+>")
OUTVOTED = 3
"""A longer span with fewer than a third of the shorter one's votes doesn't count against it."""


def score(batch: Sequence[Candidate], *, keys: Sequence[str]) -> list[Score]:
    """Share of ``keys`` whose value is a maximal span of the message; 0 where two values are the same.

    A candidate that doesn't vote gets a score, too, and is compared with those that do.

    >>> query = "Hi, Anna here, my rain jacket is late."
    >>> texts = ['{"customer": "Anna", "product": "jacket"}', '{"customer": "Anna", "product": "rain jacket"}',
    ...          '{"customer": "Eve", "product": "rain jacket"}']
    >>> [s.value for s in score([Candidate("q", query, text) for text in texts], keys=["customer", "product"])]
    [0.5, 1.0, 0.5]
    """
    answers = [fields(candidate.text, keys) for candidate in batch]
    votes: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for candidate, answer in zip(batch, answers, strict=True):
        for key, value in (answer or {}).items():
            if candidate.votes and is_span(value, candidate.query):
                votes[candidate.query_id, key][value] += 1
    return [
        _share(answer, candidate.query, {key: votes[candidate.query_id, key] for key in keys})
        for candidate, answer in zip(batch, answers, strict=True)
    ]


def is_span(value: str, text: str) -> bool:
    """Whether ``value`` stands in ``text`` as whole words, letter by letter, without any of a redactor's ``<…_1>``."""
    if _PLACEHOLDER.search(value):
        return False
    start = text.find(value)
    while start >= 0:  # no pattern: each value would be compiled anew
        end = start + len(value)
        if not (_joins(text[start - 1 : start], "<") or _joins(text[end : end + 1], ">")):
            return True
        start = text.find(value, start + 1)
    return False


def _joins(beside: str, bracket: str) -> bool:
    """Whether the character beside a span makes it a part of a word, or of a placeholder."""
    return beside.isalnum() or beside in ("_", bracket)


def _share(answer: Mapping[str, str] | None, query: str, votes: Mapping[str, Counter[str]]) -> Score:
    if answer is None:
        return Score(0.0, "no JSON object of these keys")
    if len(set(answer.values())) < len(answer):
        return Score(0.0, "the same value twice")
    return Score(sum(_maximal(value, query, votes[key]) for key, value in answer.items()) / len(answer))


def _maximal(value: str, query: str, votes: Counter[str]) -> bool:
    if not is_span(value, query):
        return False
    behind = max(votes[value], 1)
    return not any(
        other != value and is_span(value, other) and count * OUTVOTED >= behind for other, count in votes.items()
    )
