"""Each response against others of its query, in both orders: how likely it wins."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from statistics import fmean

from tao_ops.records import Candidate
from tao_ops.rewards.base import Judge, Score
from tao_ops.rewards.judge.conversations import asked, letters
from tao_ops.rewards.judge.verdicts import ALONE, Group, groups, shares

WORDS = ("A", "B")
_QUESTION = "Which response is better? Answer with its letter, A or B."

Duel = tuple[str, str, str]
"""A query's id and two different texts."""


def score(batch: Sequence[Candidate], *, head: str, judge: Judge, most: int) -> list[Score]:
    """Mean probability of winning over at most ``most`` opponents; a duel that was lost in one order counts in none."""
    every = groups(batch)
    duels = [(query_id, *pair) for query_id, group in every.items() for pair in _pairs(group, most)]
    orders = [(query_id, pair) for query_id, a, b in duels for pair in ((a, b), (b, a))]
    conversations = [asked(head, every[query_id].candidate, letters(pair), _QUESTION) for query_id, pair in orders]
    told = [shares(one, WORDS) for one in judge.next_word(conversations, WORDS)] if conversations else []
    wins: dict[tuple[str, str], list[float | str]] = defaultdict(list)
    for (query_id, a, b), straight, swapped in zip(duels, told[::2], told[1::2], strict=True):
        won = _won(straight, swapped)
        wins[query_id, a].append(won)
        if a in every[query_id].voters:  # what voters are worth does not depend on a probe
            wins[query_id, b].append(won if isinstance(won, str) else 1.0 - won)
    return [_score(wins[candidate.query_id, candidate.text]) for candidate in batch]


def _pairs(group: Group, most: int) -> list[tuple[str, str]]:
    """Voters against voters, each against equally many; then each other text, named first, against some voters."""
    voters, count = group.voters, len(group.voters)
    if count - 1 <= most:
        pairs = list(combinations(voters, 2))
    else:  # the neighbours on a ring
        pairs = [(voters[i], voters[(i + d) % count]) for d in range(1, most // 2 + 1) for i in range(count)]
    return pairs + [(other, voter) for other in group.others for voter in voters[:most]]


def _won(straight: dict[str, float] | str, swapped: dict[str, float] | str) -> float | str:
    if isinstance(straight, str) or isinstance(swapped, str):
        return straight if isinstance(straight, str) else str(swapped)
    return (straight["A"] + swapped["B"]) / 2


def _score(wins: Sequence[float | str]) -> Score:
    values = [won for won in wins if not isinstance(won, str)]
    if values:
        return Score(fmean(values))
    return Score(None, next((won for won in wins if isinstance(won, str)), ALONE))
