"""Each threat that docs/security.md lists names tests that meet it, and each of them exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs" / "security.md"
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows(page: str) -> list[str]:
    """The lines of the table of threats."""
    section = page.partition("\n## Threats\n")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("| ")]
    return [line for line in table if not line.startswith(("| ---", "| threat"))]


@cache
def names_in(path: Path) -> frozenset[str]:
    """The names of a file's tests."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if path.is_file() else ()
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def missing(row: str) -> list[str]:
    """What is wrong with a row: it names no test, or one that is not there."""
    named = TEST.findall(row)
    gone = [f"{path}::{name}" for path, name in named if name not in names_in(PROJECT / path)]
    return gone if named else [f"no test: {row}"]


THREATS = rows(PAGE.read_text(encoding="utf-8"))


def test_there_are_threats() -> None:
    assert len(THREATS) > 15


@pytest.mark.parametrize("row", THREATS, ids=lambda row: row.split("|")[1].strip())
def test_a_threat_is_met_by_tests_that_exist(row: str) -> None:
    assert missing(row) == []


@pytest.mark.parametrize(
    "row",
    [
        "| a threat | a defence | |",
        "| a threat | a defence | `tests/docs/test_security_table.py::test_of_nothing` |",
        "| a threat | a defence | `tests/docs/test_nowhere.py::test_there_are_threats` |",
    ],
)
def test_a_row_without_a_test_is_found(row: str) -> None:
    assert missing(row)
