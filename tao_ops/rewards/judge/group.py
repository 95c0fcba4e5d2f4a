"""All responses to a query at once: how likely each is the best."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from tao_ops.records import Candidate
from tao_ops.rewards.base import Judge, Score
from tao_ops.rewards.judge.conversations import asked, letters
from tao_ops.rewards.judge.verdicts import ALONE, Group, groups, shares

WORDS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")

Order = tuple[str, ...]
"""Different texts in the order in which they are shown."""


def score(batch: Sequence[Candidate], *, head: str, judge: Judge, most: int) -> list[Score]:
    """How likely each response is to be preferred to an average other one of its query.

    With p the probability of being the best of k, averaged over orders, that is (k-1)p / ((k-1)p + 1-p) by Luce's
    choice axiom (Individual Choice Behavior, 1959): 0.5 where the judge sees no difference, and p itself of two.
    More than ``most`` responses are shown in several lists.
    """
    every = groups(batch)
    lists = [(query_id, *each) for query_id, group in every.items() for each in _lists(group, most)]
    orders = [_orders(texts) for _, texts, _ in lists]
    conversations = [
        asked(head, every[query_id].candidate, letters(order), _question(len(order)))
        for (query_id, _, _), mine in zip(lists, orders, strict=True)
        for order in mine
    ]
    told = iter(judge.next_word(conversations, WORDS[: max(len(texts) for _, texts, _ in lists)]) if lists else [])
    values: dict[tuple[str, str], list[float | str]] = defaultdict(list)
    for (query_id, texts, of), mine in zip(lists, orders, strict=True):
        said = [shares(next(told), WORDS[: len(order)]) for order in mine]
        found = _preferred(mine, said)
        for text in texts:
            if text in of:
                values[query_id, text].append(found if isinstance(found, str) else found[text])
    return [_score(values[candidate.query_id, candidate.text]) for candidate in batch]


def _question(count: int) -> str:
    return f"Which response is best? Answer with its letter, one of {', '.join(WORDS[:count])}."


def _lists(group: Group, most: int) -> list[tuple[Order, frozenset[str]]]:
    """What is shown together, and those of it whose value is taken: of probes' lists, the probe alone."""
    voters, count = group.voters, len(group.voters)
    size = min(most, count)
    starts = range(0, count, size) if count > 1 else ()
    windows = [tuple(voters[(start + i) % count] for i in range(size)) for start in starts]
    probes = [(other, *voters[: most - 1]) for other in group.others] if voters else []
    return [(texts, frozenset(texts)) for texts in windows] + [(texts, frozenset(texts[:1])) for texts in probes]


def _orders(texts: Order) -> list[Order]:
    """The texts as they are, the second half first where they are more than two, and the reverse after each."""
    half = len(texts) // 2
    turned = [texts, texts[half:] + texts[:half]] if len(texts) > 2 else [texts]
    return [order for one in turned for order in (one, one[::-1])]


def _preferred(orders: Sequence[Order], said: Sequence[dict[str, float] | str]) -> dict[str, float] | str:
    """Each text's chance against an average other; an order that was lost takes its reverse along."""
    kept: list[dict[str, float]] = []
    for start in range(0, len(orders), 2):
        pair = [
            dict(zip(order, shared.values(), strict=True))
            for order, shared in zip(orders[start : start + 2], said[start : start + 2], strict=True)
            if not isinstance(shared, str)
        ]
        kept += pair if len(pair) == 2 else []
    if not kept:
        return next(one for one in said if isinstance(one, str))
    others = len(orders[0]) - 1
    best = {text: fmean(one[text] for one in kept) for text in orders[0]}
    return {text: others * p / (others * p + 1.0 - p) for text, p in best.items()}


def _score(values: Sequence[float | str]) -> Score:
    decided = [value for value in values if not isinstance(value, str)]
    if decided:
        return Score(min(fmean(decided), 1.0))
    return Score(None, next((value for value in values if isinstance(value, str)), ALONE))
