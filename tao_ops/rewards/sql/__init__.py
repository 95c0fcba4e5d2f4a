"""Running generated SQL, which nobody has read, on a team's database: read only, within limits, in its own process."""

from collections import defaultdict
from collections.abc import Sequence
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
    found = [result(candidate, sql=sql, folder=folder) for candidate in batch]
    orders: dict[str, list[bool]] = defaultdict(list)
    for candidate, one in zip(batch, found, strict=True):
        if isinstance(one, Result) and len(one.rows) > 1 and candidate.votes:
            orders[candidate.query_id].append(one.groups is not None)
    return [
        _key(one, ordered=2 * sum(orders[candidate.query_id]) > len(orders[candidate.query_id]), place=place)
        for place, (candidate, one) in enumerate(zip(batch, found, strict=True))
    ]


def _key(found: Result | NoResult, *, ordered: bool, place: int) -> str | None:
    if isinstance(found, NoResult) or not found.repeatable:
        return None
    return f"nothing {place}" if found.empty else key(found, ordered=ordered)
