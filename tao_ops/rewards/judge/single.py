"""Each response alone: the probability that the judge calls it right."""

from collections.abc import Sequence

from tao_ops.records import Candidate
from tao_ops.rewards.base import Judge, Score
from tao_ops.rewards.judge.conversations import asked
from tao_ops.rewards.judge.verdicts import shares

WORDS = ("Yes", "No")
_QUESTION = "Is the response right? Answer Yes or No."


def score(batch: Sequence[Candidate], *, head: str, judge: Judge) -> list[Score]:
    """P(yes) / (P(yes) + P(no)) of the first token, as in Kadavath et al., arXiv 2207.05221, section 4."""
    conversations = {
        _key(candidate): asked(head, candidate, {"The response": candidate.text}, _QUESTION) for candidate in batch
    }
    told = judge.next_word(list(conversations.values()), WORDS) if conversations else []
    found = dict(zip(conversations, (shares(one, WORDS) for one in told), strict=True))
    return [_score(found[_key(candidate)]) for candidate in batch]


def _key(candidate: Candidate) -> tuple[str, str, str, str | None, str]:
    return candidate.query_id, candidate.query, candidate.context, candidate.reference, candidate.text


def _score(found: dict[str, float] | str) -> Score:
    return Score(None, found) if isinstance(found, str) else Score(found["Yes"])
