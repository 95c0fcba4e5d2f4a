"""``regex``: the response matches a regular expression."""

import re
from collections.abc import Sequence

from tao_ops.records import Candidate
from tao_ops.rewards.base import Score
from tao_ops.rewards.limits import LimitError, limited

_SECONDS = 0.5
"""Of processor time for one response: a pattern such as ``(a+)+$`` can take for ever."""


def score(batch: Sequence[Candidate], *, pattern: str, whole: bool) -> list[Score]:
    """1 where the text, without blanks at its ends, matches; else 0.

    Args:
        batch: what is scored.
        pattern: in the syntax of Python's ``re``.
        whole: the whole text has to match, and not a part of it.

    >>> batch = [Candidate("q", "", "AB-12"), Candidate("q", "", "it is AB-12")]
    >>> [found.value for found in score(batch, pattern="[A-Z]+-[0-9]+", whole=True)]
    [1.0, 0.0]
    >>> [found.value for found in score(batch, pattern="[A-Z]+-[0-9]+", whole=False)]
    [1.0, 1.0]
    """
    return [_one(candidate.text.strip(), pattern, whole) for candidate in batch]


def _one(text: str, pattern: str, whole: bool) -> Score:
    try:
        matches = limited(_matches, pattern, text, whole, seconds=_SECONDS)
    except LimitError as error:
        return Score(None, str(error))
    return Score(1.0) if matches else Score(0.0, "no match")


def _matches(pattern: str, text: str, whole: bool) -> bool:
    compiled = re.compile(pattern)
    return bool(compiled.fullmatch(text) if whole else compiled.search(text))
