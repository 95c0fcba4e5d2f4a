"""Great Expectations suites: which rows fail, in words."""

import json
from pathlib import Path
from typing import Any

import pytest

from tao_ops.errors import ConfigError
from tao_ops.expectations import failing_rows
from tao_ops.settings import PROJECT

LONG_ENOUGH = ("expect_column_value_lengths_to_be_between", {"column": "text", "min_value": 5})
LETTERS = ("expect_column_values_to_match_regex", {"column": "text", "regex": "[a-z]"})


def _suite(tmp_path: Path, *expectations: tuple[str, dict[str, Any]]) -> Path:
    path = tmp_path / "suite.json"
    listed = [{"type": kind, "kwargs": kwargs} for kind, kwargs in expectations]
    path.write_text(json.dumps({"name": "suite", "expectations": listed}), encoding="utf-8")
    return path


def _rows(*texts: str | None) -> list[dict[str, Any]]:
    return [{"text": text, "turns": 1} for text in texts]


def test_good_rows_fail_nothing(tmp_path: Path) -> None:
    assert failing_rows(_suite(tmp_path, LONG_ENOUGH, LETTERS), _rows("hello", "world")) == ({}, [])


def test_each_failing_row_has_its_first_failure_in_words(tmp_path: Path) -> None:
    failed, tables = failing_rows(_suite(tmp_path, LONG_ENOUGH, LETTERS), _rows("hello", "no", "12345", "1", "fine!"))
    assert sorted(failed) == [1, 2, 3] and tables == []
    assert failed[1] == "expect_column_value_lengths_to_be_between(column='text', min_value=5)"
    assert failed[2] == "expect_column_values_to_match_regex(column='text', regex='[a-z]')"
    assert failed[3] == failed[1]


def test_a_missing_text_fails(tmp_path: Path) -> None:
    suite = _suite(tmp_path, ("expect_column_values_to_not_be_null", {"column": "text"}))
    assert list(failing_rows(suite, _rows("hello", None))[0]) == [1]


def test_more_failures_than_a_report_usually_lists_are_all_found(tmp_path: Path) -> None:
    texts = ["no" if i % 2 else "hello" for i in range(100)]
    assert sorted(failing_rows(_suite(tmp_path, LONG_ENOUGH), _rows(*texts))[0]) == list(range(1, 100, 2))


def test_an_expectation_about_the_table_is_told_apart(tmp_path: Path) -> None:
    suite = _suite(tmp_path, ("expect_table_row_count_to_be_between", {"min_value": 3}), LONG_ENOUGH)
    assert failing_rows(suite, _rows("hello", "no")) == (
        {1: "expect_column_value_lengths_to_be_between(column='text', min_value=5)"},
        ["expect_table_row_count_to_be_between(min_value=3)"],
    )


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"name": "a"}', '{"name": "a", "expectations": [{"type": "no_such"}]}']
)
def test_a_file_that_is_no_suite_is_named_with_the_form(tmp_path: Path, content: str) -> None:
    path = tmp_path / "suite.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        failing_rows(path, _rows("hello"))
    line = str(caught.value)
    assert "not a suite of expectations" in line and "suite.json" in line and "write {" in line and "\n" not in line


def test_an_expectation_about_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    suite = _suite(tmp_path, ("expect_column_values_to_not_be_null", {"column": "txt"}))
    with pytest.raises(ConfigError, match=r"cannot be computed .*suite\.json: .*'txt'"):
        failing_rows(suite, _rows("hello"))


def test_the_projects_own_suite_takes_messages_and_refuses_noise() -> None:
    suite = PROJECT / "include" / "expectations" / "tickets.json"
    rows = _rows("Anna here, my rain jacket is late.", "hi", "1234567890123", "x" * 2001)
    failed, tables = failing_rows(suite, rows)
    assert sorted(failed) == [1, 2, 3] and tables == []
