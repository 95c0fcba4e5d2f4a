"""A suite from its file, JSON or Python, each expectation known for what it is about."""

import importlib.util
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tao_ops.errors import ConfigError
from tao_ops.observations import DAY_COLUMNS, ROW_COLUMNS
from tao_ops.settings import Settings

FORM = (
    'write {"name": …, "expectations": [{"type": …, "kwargs": {…}, "severity": "critical" or "warning"}]}, '
    "or Python with a function suite() that returns a great_expectations.ExpectationSuite"
)

PLACE = "place"
"""Key of an expectation's ``meta``: how many of its suite come before it."""


class About(StrEnum):
    """What an expectation is about, and so what follows where it fails."""

    ROW = "row"
    """Each query. A failing one goes to quarantine; where the severity is below critical it stays, with a warning."""
    TABLE = "table"
    """The day's queries together, or a share of them (``mostly``). Fails the task, or warns, as its severity says."""
    DAY = "day"
    """A number of the day. Fails the task, or warns, as its severity says; passes where the number is null."""


@dataclass(frozen=True)
class Expectation:
    """One expectation of a suite.

    Attributes:
        gx: Great Expectations' own object; its ``meta`` has its place in the suite.
        about: what it is about.
        columns: the columns that it names.
        critical: whether its severity is ``critical``, which is also what no severity means.
        words: it as a line: ``expect_column_values_to_not_be_null(column='text')``.
    """

    gx: Any
    about: About
    columns: frozenset[str]
    critical: bool
    words: str


@dataclass(frozen=True)
class Suite:
    """The expectations of a task, in the order of their file."""

    name: str
    path: Path
    expectations: tuple[Expectation, ...]

    @property
    def columns(self) -> frozenset[str]:
        """All columns that are named."""
        return frozenset().union(*(one.columns for one in self.expectations))


def load_suite(path: Path, include: Path | None = None) -> Suite:
    """The suite in ``path``: ``.json``, or ``.py`` with a function ``suite()``.

    Args:
        include: the folder that Python may be run from; by default that of the settings.

    Raises:
        ConfigError: it is none, an expectation is none that Great Expectations has, a column is none of
            :mod:`tao_ops.observations`; the message names the file and the expectation.
    """
    if path.suffix == ".py":
        name, found = _from_python(path, (include or Settings.from_env().include).resolve())
    else:
        name, found = _from_json(path)
    return Suite(name, path, tuple(_understood(one, i, path) for i, one in enumerate(found)))


def _from_json(path: Path) -> tuple[str, list[Any]]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        name, listed = raw["name"], raw["expectations"]
        if not isinstance(name, str) or not isinstance(listed, list):
            raise TypeError("'name' is a text and 'expectations' a list")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"not a suite of expectations: {_line(error)}", where=path, mend=FORM) from None
    return name, [_expectation(entry, path) for entry in listed]


def _expectation(entry: Any, path: Path) -> Any:
    from great_expectations.exceptions import GreatExpectationsError
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    try:
        return ExpectationConfiguration(**entry).to_domain_obj()
    # Great Expectations' pydantic raises ValueErrors.
    except (ValueError, KeyError, TypeError, AttributeError, GreatExpectationsError) as error:
        where = f"{path}: {json.dumps(entry, ensure_ascii=False)}"
        raise ConfigError(f"not an expectation: {_line(error)}", where=where, mend="mend it there") from None


def _from_python(path: Path, include: Path) -> tuple[str, list[Any]]:
    import great_expectations as gx

    if not path.resolve().is_relative_to(include):
        raise ConfigError("code is run from the include folder only", where=path, mend=f"move it below {include}")
    spec = importlib.util.spec_from_file_location(f"_suite_{re.sub(r'[^a-zA-Z0-9]', '_', str(path))}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        made = module.suite()
        if not isinstance(made, gx.ExpectationSuite):
            raise TypeError("suite() returns no great_expectations.ExpectationSuite")
    except Exception as error:  # a user's code may raise anything
        raise ConfigError(f"not a suite of expectations: {_line(error)}", where=path, mend=FORM) from None
    return str(made.name), list(made.expectations)


def _understood(expectation: Any, place: int, path: Path) -> Expectation:
    from great_expectations.expectations.expectation import (
        ColumnMapExpectation,
        ColumnPairMapExpectation,
        MulticolumnMapExpectation,
    )
    from great_expectations.expectations.metadata_types import FailureSeverity

    kwargs = expectation.configuration.kwargs
    words = _in_words(expectation.configuration.type, kwargs)
    where = f"{path}: {words}"
    by_row = isinstance(expectation, (ColumnMapExpectation, ColumnPairMapExpectation, MulticolumnMapExpectation))
    columns = _columns(kwargs)
    _check_columns(columns, by_row, where)
    _check_patterns(kwargs, where)
    if columns & set(DAY_COLUMNS):
        about = About.DAY
    else:
        about = About.ROW if by_row and kwargs.get("mostly", 1) == 1 else About.TABLE
    # Great Expectations gives results in another order, and takes an expectation that has an id for another suite's.
    numbered = expectation.copy(update={"id": None, "meta": {**(expectation.meta or {}), PLACE: place}})
    return Expectation(numbered, about, columns, expectation.severity == FailureSeverity.CRITICAL, words)


def _columns(kwargs: Mapping[str, Any]) -> frozenset[str]:
    named = [kwargs[key] for key in ("column", "column_A", "column_B") if key in kwargs]
    listed = kwargs.get("column_list")
    return frozenset(str(one) for one in [*named, *(listed if isinstance(listed, (list, tuple)) else ())])


def _check_columns(columns: frozenset[str], by_row: bool, where: str) -> None:
    if unknown := sorted(columns - set(ROW_COLUMNS) - set(DAY_COLUMNS)):
        known = f"of a query: {', '.join(ROW_COLUMNS)}; of a day: {', '.join(DAY_COLUMNS)}"
        raise ConfigError(f"there is no column {unknown[0]!r}", where=where, mend=known)
    of_the_day = sorted(columns & set(DAY_COLUMNS))
    if of_the_day and not (by_row and columns <= set(DAY_COLUMNS)):
        raise ConfigError(
            f"{of_the_day[0]!r} is one number a day",
            where=where,
            mend="ask for its value, as expect_column_values_to_be_between does, and name no column of a query beside",
        )


def _check_patterns(kwargs: Mapping[str, Any], where: str) -> None:
    many = kwargs.get("regex_list")
    for pattern in [kwargs.get("regex"), *(many if isinstance(many, Sequence) else ())]:
        try:
            re.compile(pattern if isinstance(pattern, str) else "")
        except re.error as error:
            raise ConfigError(f"not a regular expression: {error}", where=where, mend="mend it there") from None


def _in_words(kind: str, kwargs: Mapping[str, Any]) -> str:
    return f"{kind}({', '.join(f'{key}={value!r}' for key, value in kwargs.items() if key != 'batch_id')})"


def _line(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"no {error}"
    lines = str(error).splitlines()
    # pydantic: "1 validation error for ExpectX", then the field, then what is wrong with it.
    if len(lines) > 2 and "validation error" in lines[0]:
        return f"{lines[1]}: {lines[2].strip().split(' (type=')[0]}"
    return f"{type(error).__name__}: {error}"
