"""What exploration found, held against the hidden intents afterwards: pure arithmetic on scored responses."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import Any

from tao_ops.answers import strict_object
from tao_ops.tables import PROMPTS, QUERIES, RESPONSES, REWARDS
from trials.quality.home import Home, turn_of
from trials.quality.second_task.questions import TASK
from trials.quality.settings import day

SHARES = (0.0, 0.3, 0.5, 0.7, 0.9)
"""Vote shares from which picks are counted."""
TRIES = (1, 4, 8, 16)


@dataclass(frozen=True)
class Found:
    """One response.

    Attributes:
        intent: what it names; None where it is no line of the closed set.
    """

    query_id: str
    strategy: str
    intent: str | None
    reward: float | None
    right: bool


def explored(home: Home, known: Mapping[str, str]) -> list[Found]:
    """The responses of turn one to the second task's training prompts.

    Args:
        known: the hidden intent by request id.
    """
    gold, turn = _gold(home, known), turn_of(day(1))
    where: dict[str, Any] = {"flywheel": turn.flywheel, "turn": turn.key}
    reward = {
        row["response_id"]: row["reward"]
        for row in home.lake.read(REWARDS, columns=["response_id", "reward"], **where).to_pylist()
    }
    columns = ["response_id", "query_id", "strategy", "answer"]
    rows = home.lake.read(RESPONSES, columns=columns, **where).to_pylist()
    labels = set(known.values())
    found = []
    for row in sorted(rows, key=lambda row: str(row["response_id"])):
        if row["query_id"] not in gold:
            continue
        said = intent_of(row["answer"])
        intent = said if said in labels else None
        right = intent == gold[row["query_id"]]
        found.append(Found(row["query_id"], row["strategy"], intent, reward[row["response_id"]], right))
    return found


def trained(home: Home, known: Mapping[str, str], candidate: Path) -> dict[str, Any]:
    """The rows of the second task that the candidate was trained on, and how many of them are right."""
    import pyarrow.parquet as pq

    gold = _gold(home, known)
    rows = pq.read_table(candidate / "training_rows.parquet").to_pylist()
    mine = {(row["query_id"], row["response"]) for row in rows if row["task"] == TASK and row["role"] == "best"}
    right = sum(intent_of(response) == gold[query_id] for query_id, response in mine)
    return {"rows": len(mine), "right": right, "intents": len({intent_of(response) for _, response in mine})}


def told(found: Sequence[Found]) -> dict[str, Any]:
    """All figures of a pool of responses."""
    return {
        "queries": len({one.query_id for one in found}),
        "responses": len(found),
        "strategies": by_strategy(found),
        "right_of_n": {str(n): right_of_n(found, n) for n in TRIES},
        "by_vote": by_vote(found),
    }


def by_strategy(found: Sequence[Found]) -> dict[str, dict[str, Any]]:
    """Of each strategy the responses, the shares of them that are an intent and the right one, and the share of its
    queries with a right one among them."""
    pools: dict[str, list[Found]] = defaultdict(list)
    for one in found:
        pools[one.strategy].append(one)
    return {
        name: {
            "responses": len(mine),
            "labels": sum(one.intent is not None for one in mine) / len(mine),
            "right": sum(one.right for one in mine) / len(mine),
            "found": len({one.query_id for one in mine if one.right}) / len({one.query_id for one in mine}),
        }
        for name, mine in sorted(pools.items())
    }


def right_of_n(found: Sequence[Found], n: int) -> float | None:
    """pass@n: the mean over queries with n responses or more of 1 - C(r - c, n) / C(r, n), c of r being right.

    The estimator is Chen et al.'s (arXiv 2107.03374). None where no query has as many.

    >>> pool = [Found("q", "s", "x", 1.0, right) for right in (True, False, False, False)]
    >>> right_of_n(pool, 1), right_of_n(pool, 2), right_of_n(pool, 5)
    (0.25, 0.5, None)
    """
    pools: dict[str, list[bool]] = defaultdict(list)
    for one in found:
        pools[one.query_id].append(one.right)
    values = [1 - comb(len(p) - sum(p), n) / comb(len(p), n) for p in pools.values() if len(p) >= n]
    return sum(values) / len(values) if values else None


def by_vote(found: Sequence[Found]) -> list[dict[str, Any]]:
    """Of the queries whose first intent has at least such a share of the votes: how many, and how many are right.

    Every response that names an intent is a vote. Of equals the first by name is the pick.

    >>> pool = [Found("q", "s", intent, 1.0, intent == "a") for intent in ("a", "a", "b", None)]
    >>> [(row["share"], row["queries"], row["right"]) for row in by_vote(pool)][1:4]
    [(0.3, 1, 1), (0.5, 1, 1), (0.7, 0, 0)]
    """
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    right: dict[str, str] = {}
    for one in found:
        if one.intent is not None:
            votes[one.query_id][one.intent] += 1
            if one.right:
                right[one.query_id] = one.intent
    picks = []
    for query_id, mine in votes.items():
        intent, most = min(mine.items(), key=lambda pair: (-pair[1], pair[0]))
        picks.append((most / mine.total(), right.get(query_id) == intent))
    return [
        {
            "share": least,
            "queries": sum(share >= least for share, _ in picks),
            "right": sum(is_right for share, is_right in picks if share >= least),
        }
        for least in SHARES
    ]


def intent_of(text: str) -> str | None:
    """The intent that an answer names; None where it is no object with that key alone and a text in it.

    >>> intent_of('{"intent": "card_arrival"}'), intent_of("card_arrival"), intent_of('{"intent": 1}')
    ('card_arrival', None, None)
    """
    found = strict_object(text)
    if found is None or set(found) != {"intent"} or not isinstance(found["intent"], str):
        return None
    return found["intent"]


def _gold(home: Home, known: Mapping[str, str]) -> dict[str, str]:
    """By query id, the hidden intent of the turn's prompts of the second task."""
    turn = turn_of(day(1))
    asked = home.lake.read(QUERIES, columns=["query_id", "request_id"], flywheel=turn.flywheel).to_pylist()
    requests = {row["query_id"]: row["request_id"] for row in asked}
    prompts = home.lake.read(PROMPTS, columns=["query_id", "task"], flywheel=turn.flywheel, turn=turn.key).to_pylist()
    return {row["query_id"]: known[requests[row["query_id"]]] for row in prompts if row["task"] == TASK}
