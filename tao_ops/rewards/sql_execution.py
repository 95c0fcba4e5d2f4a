"""``sql_execution``: the response is one SELECT that runs on a database, and gives what a reference gives.

Execution accuracy, as in Spider (arXiv 1809.08887), where there is a reference. Where there is none, that a query runs
says little of whether it is right; results are then compared with each other (``consensus`` with ``answer: sql``).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tao_ops.config import SqlConfig
from tao_ops.records import Candidate
from tao_ops.rewards import sql as sql_results
from tao_ops.rewards.base import Score
from tao_ops.rewards.sql import NoResult, Result

NOTHING = 0.5
"""Of a query that runs and finds nothing: questions mostly ask for something that is there."""


def score(
    batch: Sequence[Candidate],
    *,
    sql: SqlConfig,
    folder: Path,
    extra_columns: bool = True,
    repeats: bool = True,
    order: bool = True,
) -> list[Score]:
    """1 for one SELECT that runs within the limits, or that gives the reference's result where there is one.

    0 where it is anything else than one SELECT, or the database refuses it, or its result is another than each of the
    reference's, or a limit stopped it that the reference keeps. :data:`NOTHING` without a reference, where there are no
    rows, or nothing but NULL in them. None where a limit stopped it and no query of a reference, or no database is
    named or can be read: whether it is right is not known then.

    Args:
        folder: what ``sql.database`` is relative to.
        extra_columns: a result that holds the reference's columns and more is right, too.
        repeats: repeated rows count, where the reference doesn't ask for a set.
        order: the order of rows counts, where the reference ends in an ORDER BY.

    Raises:
        EngineError: the process that runs SQL cannot be started.

    >>> import sqlite3, tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with sqlite3.connect(folder / "shop.sqlite") as shop:
    ...     _ = shop.executescript("CREATE TABLE orders (id, city); INSERT INTO orders VALUES (1, 'Oslo'), (2, 'Rome')")
    >>> texts = ["SELECT city FROM orders", "SELECT town FROM orders", "DROP TABLE orders"]
    >>> batch = [Candidate("q", "Which cities?", text) for text in texts]
    >>> [one.value for one in score(batch, sql=SqlConfig(database="shop.sqlite"), folder=folder)]
    [1.0, 0.0, 0.0]
    """
    rules = {"extra_columns": extra_columns, "repeats": repeats, "order": order}
    scores = []
    for candidate in batch:
        found = sql_results.result(candidate, sql=sql, folder=folder)
        if isinstance(found, NoResult) and found.kind not in ("stopped", "ended"):
            scores.append(_without_result(found))
        elif candidate.reference is None:
            scores.append(_alone(found))
        else:
            scores.append(_compared(found, _right(candidate, candidate.reference, sql, folder), **rules))
    return scores


def _right(candidate: Candidate, reference: str, sql: SqlConfig, folder: Path) -> Iterator[Result]:
    """The results of the reference's queries, one at a time: each may be large."""
    for text in sql_results.accepted(reference):
        known = sql_results.result(candidate, sql=sql, folder=folder, text=text)
        if isinstance(known, Result):
            yield known


def _alone(found: Result | NoResult) -> Score:
    if isinstance(found, NoResult):
        return Score(None, found.why)
    return Score(NOTHING, "finds nothing") if found.empty else Score(1.0)


def _without_result(found: NoResult) -> Score:
    match found.kind:
        case "unnamed":
            return Score(None, found.why)
        case "unreadable":
            return Score(None, "the database cannot be read")
        case "failed":
            return Score(0.0, "the database refused it")
    return Score(0.0, found.why)


def _compared(
    found: Result | NoResult, right: Iterator[Result], *, extra_columns: bool, repeats: bool, order: bool
) -> Score:
    score = Score(None, found.why if isinstance(found, NoResult) else "the reference does not run")
    for one in right:
        if isinstance(found, NoResult):
            return Score(0.0, found.why)  # the reference keeps the limits, so that this is another result
        if sql_results.same(one, found, extra_columns=extra_columns, repeats=repeats, order=order):
            return Score(1.0)
        score = Score(0.0, "another result")
    return score
