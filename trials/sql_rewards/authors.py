"""The rules by which Defog's own evaluation (``sql-eval``) calls a result right, written anew from reading it.

A result is right where it has the same values as an accepted query's, at once or after both are brought into a normal
form, or where each of the accepted query's columns is found in it, by content. Normal form: no repeated rows, columns
sorted by name, rows sorted, unless the question is of the category ``order_by`` or has one of the words order, sort and
arrange; then rows are sorted by the columns of the first ORDER BY found in the query's text, in that one's direction.

Values are compared as arrays, and arrays of unlike shapes are stretched to each other where they can be: a result
without rows then equals any single row. An earlier version asked for equal shapes first.
"""

import re
import sqlite3
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import pandas as pd
from pandas.testing import assert_frame_equal, assert_series_equal

_NO_NAMES = {"desc", "asc", "nulls", "last", "first", "limit"}


def asks_for_order(category: str, question: str) -> bool:
    """Whether the order of rows counts, by the authors' rule."""
    return category == "order_by" or re.search(r"\b(order|sort|arrange)\b", question.lower()) is not None


def right(
    gold: str,
    accepted: Sequence[str],
    query: str,
    *,
    category: str,
    question: str,
    database: Any,
    shapes: bool = False,
) -> bool:
    """Whether the query is right, exactly or with further columns.

    Args:
        gold: the reference as a whole: its first ORDER BY is that of all accepted queries.
        accepted: those, one by one.
        database: a connection to SQLite.
        shapes: results of unlike shapes are not compared as arrays, as in an earlier version of the rules.

    Raises:
        ValueError, TypeError, KeyError: the rules themselves fail on these results.
    """
    ordered = asks_for_order(category, question)
    found = _frame(query, database)
    correct = False
    for one in accepted:
        known = _frame(one, database)
        if (known.shape == found.shape or not shapes) and _values_equal(known, found):
            return True
        if _normal_equal(_normal(known, ordered, gold), _normal(found, ordered, query)):
            return True
        correct = correct or _contained(known, found, ordered)
    return correct


@lru_cache(maxsize=64)
def _frame(query: str, database: sqlite3.Connection) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pd.read_sql_query(query, database)


def _values_equal(known: pd.DataFrame, found: pd.DataFrame) -> bool:
    try:
        return bool((known.values == found.values).all())
    except (AttributeError, ValueError):  # shapes that can't be stretched to each other
        return False


def _normal_equal(known: pd.DataFrame, found: pd.DataFrame) -> bool:
    return known.shape == found.shape and bool((known.values == found.values).all())


def _normal(frame: pd.DataFrame, ordered: bool, query: str | None = None) -> pd.DataFrame:
    frame = frame.drop_duplicates()
    frame = frame.reindex(sorted(frame.columns), axis=1)
    if not ordered:
        return frame.sort_values(by=list(frame.columns)).reset_index(drop=True)
    if query and (clause := re.search(r"ORDER BY[\s\S]*", query, re.IGNORECASE)):
        found = re.findall(r"(?<=ORDER BY)(.*?)(?=;|,|\)|$)", clause.group(0), re.IGNORECASE)
        words = [word.strip().rsplit(".", 1)[-1] for word in (found[0].split() if found else [])]
        upper = {word.upper() for word in words}
        ascending = "DESC" not in upper and "ASC" in upper
        names = [word.replace(",", "").replace("(", "") for word in words]
        names = [name for name in names if name.lower() not in _NO_NAMES and name in frame.columns]
        others = [name for name in frame.columns if name not in names]
        frame = frame.sort_values(by=names + others, ascending=ascending)[others + names]
    return frame.reset_index(drop=True)


def _contained(known: pd.DataFrame, found: pd.DataFrame, ordered: bool) -> bool:
    if known.empty:
        return False
    left, taken = list(found.columns), []
    for column in known.columns:
        place = next((name for name in left if _same_column(known[column], found[name])), None)
        if place is None:
            return False
        left.remove(place)
        taken.append(place)
    matched = found[taken].rename(columns=dict(zip(taken, known.columns, strict=True)))
    try:
        assert_frame_equal(_normal(known, ordered), _normal(matched, ordered), check_dtype=False)
    except AssertionError:
        return False
    return True


def _same_column(one: pd.Series, other: pd.Series) -> bool:
    one, other = (column.sort_values().reset_index(drop=True) for column in (one, other))
    try:
        assert_series_equal(one, other, check_dtype=False, check_names=False)
    except AssertionError:
        return False
    return True
