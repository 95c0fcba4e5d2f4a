"""Which rows an erasure takes, and taking them.

A person's are the rows of ``queries`` and ``quarantine`` with the user's hash, and by the queries of those rows all
that was made of them. A text that somebody else sent in the same turn too is that person's as well: its prompt stays
there, with a lower count, and so does what was made from it. Where no query of a turn is left to say who sent a text,
what was made of it goes.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tao_ops.lake import Lake
from tao_ops.scoring.labels import response_id
from tao_ops.tables import CLUSTERS, ERASURES, PROMPTS, QUARANTINE, QUERIES, RESPONSES, REWARDS

TABLES = (REWARDS, RESPONSES, PROMPTS, CLUSTERS, QUARANTINE, QUERIES)
"""The tables that hold what users wrote or what was made of it; ``queries`` last, since it leads to the others."""

_Act = Callable[..., int]


@dataclass(frozen=True)
class Subject:
    """What is to be erased: all of one user, or one query whoever sent it.

    Attributes:
        user_hash: :func:`tao_ops.privacy.keyed_hash` of the user, or None.
        query_id: the query, or None; exactly one of the two is given.
    """

    user_hash: str | None = None
    query_id: str | None = None

    def __post_init__(self) -> None:
        if (self.user_hash is None) == (self.query_id is None):
            raise ValueError("give a user's hash or a query's id, and not both")

    @property
    def where(self) -> dict[str, Any]:
        """The condition on ``queries``."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Plan:
    """What goes: the subject's own rows, and all made of ``query_ids`` but in the turns that ``kept`` names for one.

    Attributes:
        requests: request ids of the subject's rows, by source.
        kept: by query, the turns in which somebody else sent it too.
        shared: how many rows of the subject are behind a prompt that stays, by turn and query.
        rated: by turn, ids in ``rewards`` of the answers that the subject was given to queries that stay.
    """

    flywheel: str
    subject: Subject
    query_ids: frozenset[str]
    requests: Mapping[str, frozenset[str]]
    kept: Mapping[str, frozenset[str]]
    shared: Mapping[tuple[str, str], int]
    rated: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def gone(self, turn: str, query_id: str) -> bool:
        """Whether what was made of a turn's query goes."""
        return query_id in self.query_ids and turn not in self.kept.get(query_id, ())


def make_plan(lake: Lake, flywheel: str, subject: Subject) -> Plan:
    """Find what the subject has in the flywheel; an erasure that was begun before is taken up."""
    columns = ["turn", "query_id", "source", "request_id", "response"]
    mine = lake.read(QUERIES, columns=columns, flywheel=flywheel, **subject.where).to_pylist()
    requests: defaultdict[str, set[str]] = defaultdict(set)
    for row in mine:
        requests[row["source"]].add(row["request_id"])
    begun = lake.read(ERASURES, columns=["query_id"], flywheel=flywheel, **subject.where)
    named = [*(row["query_id"] for row in mine), *begun.column("query_id").to_pylist(), subject.query_id]
    query_ids = {str(query_id) for query_id in named if query_id is not None}
    kept: defaultdict[str, set[str]] = defaultdict(set)
    if subject.user_hash is not None:
        columns = ["turn", "query_id", "user_hash"]
        for row in lake.read(QUERIES, columns=columns, flywheel=flywheel, query_id=query_ids).to_pylist():
            if row["user_hash"] != subject.user_hash:
                kept[row["query_id"]].add(row["turn"])
    counts = Counter((row["turn"], row["query_id"]) for row in mine)
    rated: defaultdict[str, set[str]] = defaultdict(set)
    for row in mine:
        if row["response"] and row["turn"] in kept.get(row["query_id"], ()):
            rated[row["turn"]].add(response_id(row["query_id"], row["response"]))
    return Plan(
        flywheel,
        subject,
        frozenset(query_ids),
        {source: frozenset(ids) for source, ids in requests.items()},
        {query_id: frozenset(turns) for query_id, turns in kept.items()},
        {(turn, query_id): count for (turn, query_id), count in counts.items() if turn in kept.get(query_id, ())},
        {turn: frozenset(ids) for turn, ids in rated.items()},
    )


def remove(lake: Lake, plan: Plan, *, dry_run: bool = False) -> dict[str, int]:
    """Remove, or only count, what goes; returns rows by table. Killed at any moment, doing it again finishes it."""
    act = lake.count if dry_run else lake.remove
    own = {"flywheel": plan.flywheel}
    alone = plan.query_ids - set(plan.kept)
    groups: defaultdict[frozenset[str], set[str]] = defaultdict(set, {frozenset(): set(alone)})
    for query_id, turns in plan.kept.items():
        groups[turns].add(query_id)
    rows = {
        table.name: sum(act(table, except_turns=turns, query_id=ids, **own) for turns, ids in groups.items())
        for table in (REWARDS, RESPONSES, PROMPTS)
    }
    # Where somebody else sent the query too, its candidates stay; the answer that the subject was given does not.
    rows[REWARDS.name] += sum(act(REWARDS, turn=turn, response_id=ids, **own) for turn, ids in plan.rated.items())
    rows[CLUSTERS.name] = act(CLUSTERS, query_id=alone, **own)
    rows[QUARANTINE.name] = _quarantine(plan, act)
    rows[QUERIES.name] = act(QUERIES, **own, **plan.subject.where)
    if not dry_run:
        # Last: a kill before it leaves a count too high, one after a half of it would make it too low.
        _lower_counts(lake, plan)
    return rows


def _quarantine(plan: Plan, act: _Act) -> int:
    """By the user's hash; and what ``validate`` refused, by request: release 0.1.0 kept no hash there."""
    user = plan.subject.user_hash
    rows = 0 if user is None else act(QUARANTINE, flywheel=plan.flywheel, user_hash=user)
    hashless = {} if user is None else {"user_hash": None}
    for source, ids in plan.requests.items():
        where = {"flywheel": plan.flywheel, "stage": "validate", "source": source, "position": ids, **hashless}
        rows += act(QUARANTINE, **where)
    return rows


def _lower_counts(lake: Lake, plan: Plan) -> None:
    fewer: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for (turn, query_id), count in plan.shared.items():
        fewer[turn, count].add(query_id)
    for (turn, count), ids in fewer.items():
        where = {"flywheel": plan.flywheel, "turn": turn, "query_id": ids}
        lake.update(PROMPTS, {"count": f'greatest("count" - {count}, 1)'}, **where)
