"""Results of queries: what is the same answer.

A result is a bag of rows, or a list where its query has an ORDER BY at its top; rows with equal keys of that ORDER BY
may come in any order. Names of columns don't matter, and neither does their order: "name, city" answers what "city,
name" does. Numbers are equal within a relative tolerance, whole ones exactly; NULL equals NULL, and NaN NaN; a text is
never a number.
"""

import hashlib
import itertools
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

Value = None | int | float | str | bytes
Row = tuple[Value, ...]
_Row = TypeVar("_Row", bound=tuple[Any, ...])
TOLERANCE = 1e-8
"""Two numbers this close, relatively, are equal, unless both are whole: sums in another order are closer than that."""
_DIGITS = 9
_MOST_ORDERS, _MOST_CELLS = 5040, 500_000
"""Orders of look-alike columns are tried as long as they are no more than this, and no more cells all together."""


@dataclass(frozen=True)
class Result:
    """What a query gave.

    Attributes:
        rows: all of them, in the database's order.
        groups: lengths of the runs of rows with equal keys of the ORDER BY, in order; None without an ORDER BY.
        distinct: whether the query asks for a set.
        repeatable: whether it gives the same again, as far as its text tells: not with ``random()``.
    """

    rows: tuple[Row, ...]
    groups: tuple[int, ...] | None = None
    distinct: bool = False
    repeatable: bool = True

    @property
    def columns(self) -> int:
        """How many there are; 0 where no row tells."""
        return len(self.rows[0]) if self.rows else 0

    @property
    def empty(self) -> bool:
        """Whether it tells nothing: no rows, or nothing but NULL, which an aggregate of no rows is."""
        return all(value is None for row in self.rows for value in row)


@dataclass(frozen=True)
class NoResult:
    """Why a query has no result.

    Attributes:
        kind: ``refused`` before it ran, ``failed`` in the database, ``stopped`` by a limit, ``ended``, where its
            process was too late or died, ``unreadable``, where the database is to blame, or ``unnamed``, where the
            message names none.
        why: in a few words; the database's own where it ``failed``.
    """

    kind: str
    why: str


def key(result: Result, *, ordered: bool) -> str:
    """A digest of the answer: results with the same key are the same answer.

    Args:
        ordered: whether the order of rows counts. A result without an ORDER BY then has the order that it came in.

    >>> key(Result(((1, "a"), (2.0, "b"))), ordered=False) == key(Result((("b", 2), ("a", 1.0))), ordered=False)
    True
    """
    rows = [tuple(map(_canonical, row)) for row in result.rows]
    sizes = (result.groups or [1] * len(rows)) if ordered else [len(rows)]
    marks = [json.dumps(sorted(column)) for column in zip(*rows, strict=True)]
    least = min(_arranged(rows, sizes, order) for order in _orders(marks, _most_orders(result)))
    return hashlib.sha256(least.encode()).hexdigest()[:32]


def _arranged(rows: Sequence[tuple[str, ...]], sizes: Sequence[int], order: Sequence[int]) -> str:
    arranged = [tuple(row[i] for i in order) for row in rows]
    return json.dumps([row for group in _split(arranged, sizes) for row in sorted(group)])


def _orders(marks: Sequence[str], most: int) -> Iterator[list[int]]:
    """The orders of columns in which their contents are sorted: several where contents look alike."""
    by_mark = sorted(range(len(marks)), key=marks.__getitem__)
    alike = [list(group) for _, group in itertools.groupby(by_mark, marks.__getitem__)]
    choices = itertools.product(*(list(itertools.islice(itertools.permutations(group), most)) for group in alike))
    for choice in itertools.islice(choices, most):
        yield [i for group in choice for i in group]


def same(
    expected: Result, found: Result, *, extra_columns: bool = False, repeats: bool = True, order: bool = True
) -> bool:
    """Whether ``found`` is the answer that ``expected`` is.

    Args:
        extra_columns: ``found`` may hold further columns.
        repeats: repeated rows count, where ``expected`` was not asked for as a set.
        order: the order of rows counts, where ``expected`` was asked for in an order.

    >>> a, b = Result(((1, "x"), (2, None))), Result(((None, 2.0), ("x", 1)))
    >>> same(a, b), same(a, Result(b.rows[:1]))
    (True, False)
    """
    as_set = expected.distinct or not repeats
    if not expected.rows or not found.rows:
        return not expected.rows and not found.rows
    if found.columns != expected.columns and not (extra_columns and found.columns > expected.columns):
        return False
    if not as_set and len(found.rows) != len(expected.rows):
        return False
    ways = itertools.islice(_places(expected, found, as_set), _most_orders(expected))
    return any(_same_rows(expected, found, places, as_set=as_set, order=order) for places in ways)


def _most_orders(result: Result) -> int:
    return max(1, min(_MOST_ORDERS, _MOST_CELLS // (len(result.rows) * result.columns + 1)))


def _places(expected: Result, found: Result, as_set: bool) -> Iterator[tuple[int, ...]]:
    """The ways to find each expected column, by its content, in a column of ``found``: the given order first."""
    wanted = [_contents(column, as_set) for column in zip(*expected.rows, strict=True)]
    offered = [_contents(column, as_set) for column in zip(*found.rows, strict=True)]
    fitting = [
        sorted((j for j, there in enumerate(offered) if _alike(column, there)), key=i.__ne__)
        for i, column in enumerate(wanted)
    ]
    needed = Counter(tuple(sorted(fits)) for fits in fitting)
    if any(count > len(fits) for fits, count in needed.items()):  # more columns than places for them
        return
    yield from _distinct_choices(fitting)


def _distinct_choices(fitting: Sequence[Sequence[int]]) -> Iterator[tuple[int, ...]]:
    """One of each list, all of them different: every way, the first of each list first."""
    taken: list[int] = []
    trying = [iter(fitting[0])]
    for _ in range(_MOST_CELLS):
        j = next((j for j in trying[-1] if j not in taken), None)
        if j is None:
            trying.pop()
            if not trying:
                return
            taken.pop()
        elif len(taken) + 1 == len(fitting):
            yield (*taken, j)
        else:
            taken.append(j)
            trying.append(iter(fitting[len(taken)]))


def _contents(column: Iterable[Value], as_set: bool) -> list[Row]:
    rows = [(value,) for value in column]
    return _sorted(itertools.compress(rows, _firsts(rows)) if as_set else rows)


def _same_rows(expected: Result, found: Result, places: Sequence[int], *, as_set: bool, order: bool) -> bool:
    sizes = expected.groups if order and expected.groups is not None else (len(expected.rows),)
    wanted = _split(expected.rows, sizes)
    offered: Sequence[Row] = [tuple(row[j] for j in places) for row in found.rows]
    if as_set:
        first = iter(_firsts(expected.rows))
        wanted = [[row for row in group if next(first)] for group in wanted]
        offered = list(itertools.compress(offered, _firsts(offered)))
    if sum(map(len, wanted)) != len(offered):
        return False
    pairs = zip(wanted, _split(offered, [len(group) for group in wanted]), strict=True)
    return all(_alike(_sorted(one), _sorted(other)) for one, other in pairs)


def _split(rows: Sequence[_Row], sizes: Sequence[int]) -> list[Sequence[_Row]]:
    ends = list(itertools.accumulate(sizes))
    return [rows[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def _firsts(rows: Iterable[Row]) -> list[bool]:
    """Of each row, whether none before it is the same."""
    seen: set[tuple[str, ...]] = set()
    marks = [tuple(map(_canonical, row)) for row in rows]
    return [not (mark in seen or seen.add(mark)) for mark in marks]  # type: ignore[func-returns-value]


def _sorted(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: tuple(map(_rank, row)))


def _alike(rows: Sequence[Row], others: Sequence[Row]) -> bool:
    if len(rows) != len(others):
        return False
    pairs = zip(itertools.chain.from_iterable(rows), itertools.chain.from_iterable(others), strict=True)
    return all(equal(one, other) for one, other in pairs)


def equal(one: Value, other: Value) -> bool:
    """Whether two values are the same: whole numbers exactly, others within :data:`TOLERANCE`.

    >>> equal(1, 1.0), equal(0.1 + 0.2, 0.3), equal(None, None), equal(float("nan"), float("nan")), equal(1, "1")
    (True, True, True, True, False)
    """
    if isinstance(one, int | float) and isinstance(other, int | float):
        return _numbers_equal(one, other)
    return type(one) is type(other) and one == other


def _numbers_equal(one: float, other: float) -> bool:
    if one == other or (_whole(one) and _whole(other)):
        return one == other  # identifiers and times are whole, and near is not the same
    try:
        return (_nan(one) and _nan(other)) or math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=1e-9)
    except OverflowError:  # a whole number beyond what a float holds
        return False


def _whole(number: float) -> bool:
    return isinstance(number, int) or number.is_integer()


def _nan(number: float) -> bool:
    return isinstance(number, float) and math.isnan(number)


def _rounded(number: float) -> float:
    """Numbers that are equal have the same, but for few at the edges; a whole one where it is whole."""
    if not _whole(number) and math.isfinite(number):
        number = float(f"{number:.{_DIGITS}g}")
    return int(number) if _whole(number) else number


def _rank(value: Value) -> tuple[int, float, str]:
    """What values are sorted by; rounded, so that equal numbers do not part the rows that they stand in."""
    if value is None:
        return 0, 0, ""
    if isinstance(value, int | float):
        return (1, 0, "") if _nan(value) else (2, _rounded(value), "")
    return (3, 0, value) if isinstance(value, str) else (4, 0, value.hex())


def _canonical(value: Value) -> str:
    """A value as a text that equal values share."""
    if value is None:
        return "null"
    if isinstance(value, bytes):
        return f"b{value.hex()}"
    return f"s{value}" if isinstance(value, str) else f"n{_rounded(value)!r}"
