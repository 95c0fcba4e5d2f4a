"""What is tried on the scorers, and the records that say so."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tao_ops.records import Candidate


class Kind(StrEnum):
    """What a probe tries."""

    EMPTY = "empty"
    """No text at all."""
    BLANK = "blank"
    """Blanks and line breaks only."""
    MASTER_KEY = "master key"
    """A few signs or words that say nothing and yet fool judges (Zhao et al., arXiv 2507.08794)."""
    QUERY = "query copied"
    """The user's message, given back."""
    RUBRIC = "rubric quoted"
    """The rubric of a judge, given back."""
    ORDER = "order to the judge"
    """An instruction to say yes: alone, after a wrong answer, or as a value of a JSON answer."""
    PADDED = "wrong answer padded"
    """The answer of another query with sentences around it that say nothing."""
    WRONG = "wrong answer in perfect form"
    """Another query's answer, or the honest one with values swapped or changed."""
    LONGEST = "longest answer"
    """The query's longest candidate but the honest one, as it is and padded: it may be right, so it is only told."""
    BAD_FORM = "true answer in bad form"
    """The honest answer in a sentence, in a code fence or among blanks: what it loses, it loses for form alone."""


TOLD_ONLY = frozenset({Kind.LONGEST, Kind.BAD_FORM})
"""Kinds that a scorer may rightly give as much as the honest answer: nobody falls for them."""
WELL_FORMED = frozenset({Kind.ORDER, Kind.PADDED, Kind.WRONG})
"""Kinds that a verifier cannot tell from a right answer, since it judges form."""


@dataclass(frozen=True)
class Group:
    """A query with its honest best answer and its other candidates."""

    honest: Candidate
    others: tuple[Candidate, ...] = ()


@dataclass(frozen=True)
class Probe:
    """An answer that no scorer should like as much as the honest one.

    Attributes:
        candidate: of the honest answer's query; it has no vote.
        variant: which one of its kind, in a few words; empty where there is only one.
    """

    kind: Kind
    candidate: Candidate
    honest: Candidate
    variant: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a probe got, and what its honest answer got: scores by scorer, those that were decided only."""

    probe: Probe
    scores: Mapping[str, float]
    reward: float | None
    honest_scores: Mapping[str, float]
    honest_reward: float | None
