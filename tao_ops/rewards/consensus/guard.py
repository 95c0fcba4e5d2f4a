"""When a majority is not believed: a wrong one that only grows is the way such rewards fail (SRT, arXiv 2505.21444).

Two signs are of the whole batch: the candidates of a query hardly differ any more, or nearly all queries have the same
answer. One is of a query: the other scorers prefer another answer that has votes, too.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from tao_ops.config import ConsensusConfig, GuardConfig
from tao_ops.records import Candidate
from tao_ops.rewards.consensus.answers import Answer, key_of

LEAST = 10
"""Of fewer queries nothing is said."""


def collapse(batch: Sequence[Candidate], answers: Sequence[Answer | None], guard: GuardConfig) -> str:
    """Why no majority of the batch is believed; empty where nothing speaks against them."""
    # One that says nothing that can be compared differs from all others.
    told = [answer or {"": f"candidate {i}"} for i, answer in enumerate(answers)]
    votes = _votes(batch, told)
    polled = [counts for counts in votes.values() if counts.total() > 1]
    if len(polled) < LEAST:
        return ""
    disagreement = sum(map(disagreement_of, polled)) / len(polled)
    if disagreement < guard.diversity:
        return "the answers of a query hardly differ: a majority says nothing"
    leaders = Counter(counts.most_common(1)[0][0] for counts in polled)
    if leaders.most_common(1)[0][1] > guard.same_answer * len(polled):
        return "nearly all queries have the same answer"
    return ""


def disagreement_of(votes: "Counter[str]") -> float:
    """Shannon entropy of the votes, as a share of the most that so many votes can have.

    >>> disagreement_of(Counter(a=2)), disagreement_of(Counter(a=1, b=1))
    (0.0, 1.0)
    """
    total = votes.total()
    if total < 2:
        return 0.0
    return sum(n / total * math.log(total / n) for n in votes.values()) / math.log(total)


def outvoted(
    batch: Sequence[Candidate],
    answers: Sequence[Answer | None],
    others: Sequence[float | None],
    config: ConsensusConfig,
) -> set[str]:
    """Queries whose leading answer the other scorers hold for worse than another answer with enough votes."""
    votes = _votes(batch, answers)
    worth: dict[tuple[str, str], list[float]] = defaultdict(list)
    for candidate, answer, other in zip(batch, answers, others, strict=True):
        if candidate.votes and answer and other is not None:
            worth[candidate.query_id, key_of(answer)].append(other)
    means = {key: sum(values) / len(values) for key, values in worth.items()}
    doubted = set()
    for query_id, counts in votes.items():
        (leader, _), *rest = counts.most_common()
        rivals = [means[query_id, key] for key, n in rest if n >= config.votes and (query_id, key) in means]
        if rivals and max(rivals) - means.get((query_id, leader), 1.0) > config.guard.margin:
            doubted.add(query_id)
    return doubted


def _votes(batch: Sequence[Candidate], answers: Sequence[Answer | None]) -> dict[str, "Counter[str]"]:
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for candidate, answer in zip(batch, answers, strict=True):
        if candidate.votes and answer:
            votes[candidate.query_id][key_of(answer)] += 1
    return votes
