"""Running generated SQL, which nobody has read, on a team's database: read only, within limits, in its own process."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tao_ops.config import SqlConfig
from tao_ops.records import Candidate
from tao_ops.rewards.sql.databases import check, locate
from tao_ops.rewards.sql.references import accepted
from tao_ops.rewards.sql.results import NoResult, Result, key, same
from tao_ops.rewards.sql.run import run

__all__ = ["NoResult", "Result", "accepted", "check", "key", "locate", "result", "result_keys", "run", "same"]


def result(candidate: Candidate, *, sql: SqlConfig, folder: Path, text: str | None = None) -> Result | NoResult:
    """What a candidate's SQL, or another ``text`` in its place, gives on the database of its query.

    Raises:
        EngineError: the process that runs SQL cannot be started.
    """
    path = locate(sql, folder, candidate.query)
    if isinstance(path, str):
        return NoResult("unnamed", path)
    return run(candidate.text if text is None else text, path=path, sql=sql)


def result_keys(batch: Sequence[Candidate], *, sql: SqlConfig, folder: Path) -> list[str | None]:
    """A key of each candidate's result: the same key, the same answer; None where there is none that can be compared.

    Rows are compared as a list where most of a query's candidates that have several rows, probes aside, end in an
    ORDER BY: they tell that the question asks for an order. Else the order does not count.

    A result that tells nothing (:attr:`Result.empty`) has a key that no other candidate has: many a mistake ends there,
    so that agreement on it says nothing, and it would be the easiest answer to agree on.

    Args:
        folder: what ``sql.database`` is relative to.

    Raises:
        EngineError: the process that runs SQL cannot be started.
    """
    told = [_told(result(candidate, sql=sql, folder=folder), place) for place, candidate in enumerate(batch)]
    orders: dict[str, list[bool]] = defaultdict(list)
    for candidate, one in zip(batch, told, strict=True):
        if one.several and candidate.votes:
            orders[candidate.query_id].append(one.ordered)
    return [
        one.list_key if 2 * sum(orders[candidate.query_id]) > len(orders[candidate.query_id]) else one.bag_key
        for candidate, one in zip(batch, told, strict=True)
    ]


@dataclass(frozen=True)
class _Told:
    """What is kept of a result, which may be large: whether it has several rows and an ORDER BY, and its keys."""

    several: bool = False
    ordered: bool = False
    bag_key: str | None = None
    list_key: str | None = None


def _told(found: Result | NoResult, place: int) -> _Told:
    if isinstance(found, NoResult):
        return _Told()
    several, ordered = len(found.rows) > 1, found.groups is not None
    if not found.repeatable:
        return _Told(several, ordered)
    if found.empty:
        return _Told(several, ordered, f"nothing {place}", f"nothing {place}")
    bag_key = key(found, ordered=False)
    return _Told(several, ordered, bag_key, key(found, ordered=True) if several else bag_key)
