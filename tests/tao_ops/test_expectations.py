"""Great Expectations suites: which queries fail, what fails the day, what only warns, and the pages that show it."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tao_ops import observations
from tao_ops.errors import ConfigError
from tao_ops.expectations import Checked, Suite, check, load_suite, write_data_docs
from tao_ops.settings import PROJECT

LONG_ENOUGH = ("expect_column_value_lengths_to_be_between", {"column": "text", "min_value": 5})
LETTERS = ("expect_column_values_to_match_regex", {"column": "text", "regex": "[a-z]"})
MANY = ("expect_table_row_count_to_be_between", {"min_value": 3})
STEADY = ("expect_column_values_to_be_between", {"column": "rows_ratio", "min_value": 0.5})

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a suite of expectations, all of one severity."""

    def write(*expectations: tuple[str, dict[str, Any]], severity: str = "critical") -> Path:
        path = tmp_path / "suite.json"
        listed = [{"type": kind, "kwargs": kwargs, "severity": severity} for kind, kwargs in expectations]
        path.write_text(json.dumps({"name": "suite", "expectations": listed}), encoding="utf-8")
        return path

    return write


def _check(suite: Path | Suite, *texts: str, before: int | None = None) -> Checked:
    """The suite against a day of these texts, after a turn of ``before`` queries."""
    queries = [
        {"messages": [{"role": "user", "content": t}], "response": None, "source": "web", "model_version": "m"}
        for t in texts
    ]
    columns = observations.rows(queries)
    today = observations.observe(columns, users=1)
    past = [] if before is None else [{**today, "rows": before}]
    loaded = suite if isinstance(suite, Suite) else load_suite(suite)
    return check(loaded, columns, observations.day(today, past, 0.0))


def test_good_queries_fail_nothing(write: Write) -> None:
    checked = _check(write(LONG_ENOUGH, LETTERS), "hello", "world")
    assert (checked.failed_rows, checked.failures, checked.warnings) == ({}, [], [])


def test_each_failing_query_has_its_first_failure_in_words(write: Write) -> None:
    checked = _check(write(LONG_ENOUGH, LETTERS), "hello", "no", "12345", "1", "fine!")
    assert sorted(checked.failed_rows) == [1, 2, 3] and checked.failures == []
    assert checked.failed_rows[1] == "expect_column_value_lengths_to_be_between(column='text', min_value=5)"
    assert checked.failed_rows[2] == "expect_column_values_to_match_regex(column='text', regex='[a-z]')"
    assert checked.failed_rows[3] == checked.failed_rows[1]


def test_a_missing_value_fails_where_there_must_be_one(write: Write) -> None:
    suite = write(("expect_column_values_to_not_be_null", {"column": "response_characters"}))
    assert list(_check(suite, "hello").failed_rows) == [0]


def test_more_failures_than_a_report_usually_lists_are_all_found(write: Write) -> None:
    texts = ["no" if i % 2 else "hello" for i in range(600)]
    assert sorted(_check(write(LONG_ENOUGH), *texts).failed_rows) == list(range(1, 600, 2))


def test_a_query_that_fails_a_mere_warning_stays(write: Write) -> None:
    checked = _check(write(LONG_ENOUGH, severity="warning"), "hello", "no")
    assert checked.failed_rows == {} and checked.failures == []
    (words,) = checked.warnings
    assert words.endswith("(column='text', min_value=5): 1 of 2 queries fail")


@pytest.mark.parametrize(
    ("expectation", "told"),
    [
        (MANY, "expect_table_row_count_to_be_between(min_value=3): it is 2"),
        (
            ("expect_column_values_to_be_in_set", {"column": "empty", "value_set": [False], "mostly": 0.9}),
            ": 50 % of the queries fail",
        ),
        (("expect_column_mean_to_be_between", {"column": "characters", "max_value": 2}), "): it is 3.5"),
        (("expect_column_most_common_value_to_be_in_set", {"column": "text", "value_set": ["x"]}), "): it is not so"),
        (STEADY, "): rows_ratio is 0.2"),
    ],
)
@pytest.mark.parametrize("severity", ["critical", "warning", "info"])
def test_the_day_fails_or_warns_as_its_severity_says(
    write: Write, expectation: tuple[str, dict[str, Any]], told: str, severity: str
) -> None:
    checked = _check(write(expectation, severity=severity), "hello", "?!", before=10)
    (words,) = checked.failures if severity == "critical" else checked.warnings
    assert words.endswith(told) and checked.failed_rows == {}
    assert len(checked.failures) + len(checked.warnings) == 1


def test_a_suite_can_be_held_against_many_days(write: Write) -> None:
    suite = load_suite(write(LONG_ENOUGH, MANY))
    assert [list(_check(suite, *texts).failed_rows) for texts in (("no", "hello"), ("hello", "no"))] == [[0], [1]]


def test_what_cannot_be_compared_yet_passes(write: Write) -> None:
    drift = ("expect_column_values_to_be_between", {"column": "language_drift", "max_value": 0.1})
    checked = _check(write(STEADY, drift), "hello")
    assert (checked.failures, checked.warnings) == ([], [])


def test_a_day_without_queries_can_be_checked(write: Write) -> None:
    checked = _check(write(LONG_ENOUGH, LETTERS, MANY, STEADY), before=10)
    assert [words.split(":")[-1] for words in checked.failures] == [" it is 0", " rows_ratio is 0"]


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"name": "a"}', '{"name": "a", "expectations": {}}', '{"name": 1, "expectations": []}']
)
def test_a_file_that_is_no_suite_is_named_with_the_form(tmp_path: Path, content: str) -> None:
    path = tmp_path / "suite.json"
    path.write_text(content, encoding="utf-8")
    _refused(path, r"not a suite of expectations: .*suite\.json.* — write \{")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"type": "expect_no_such"}, "'kwargs'"),
        ({"type": "expect_no_such", "kwargs": {}}, "expect_no_such not found"),
        ({"type": LETTERS[0], "kwargs": LETTERS[1], "severity": "loud"}, "Invalid severity 'loud'"),
        ({"type": LETTERS[0], "kwargs": LETTERS[1], "severty": "info"}, "'severty'"),
        ({"type": LETTERS[0], "kwargs": {"regex": "a"}}, "column: field required"),
        ({"type": LETTERS[0], "kwargs": {**LETTERS[1], "min": 3}}, "min: extra fields not permitted"),
        ({"type": MANY[0], "kwargs": {"min_value": "x"}}, "min_value: value is not a valid integer"),
        ({"type": LETTERS[0], "kwargs": {"column": "text", "regex": "["}}, "not a regular expression"),
        ("a text", "not an expectation: TypeError"),
        (
            {"type": LONG_ENOUGH[0], "kwargs": {"column": "txt", "min_value": 1}},
            r"there is no column 'txt' .*column='txt'.*of a query: text, conversation, .*; of a day: rows, ",
        ),
        (
            {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "rows_ratio", "min_value": 1}},
            "'rows_ratio' is one number a day .*expect_column_values_to_be_between",
        ),
        (
            {
                "type": "expect_column_pair_values_a_to_be_greater_than_b",
                "kwargs": {"column_A": "rows", "column_B": "turns"},
            },
            "'rows' is one number a day",
        ),
    ],
)
def test_what_is_no_expectation_is_named_with_its_file(tmp_path: Path, entry: Any, said: str) -> None:
    path = tmp_path / "suite.json"
    path.write_text(json.dumps({"name": "a", "expectations": [entry]}), encoding="utf-8")
    _refused(path, said)
    _refused(path, r"\[.*suite\.json: .*\] — ")


def test_an_expectation_that_cannot_be_computed_is_named(write: Write) -> None:
    suite = load_suite(write(("expect_column_values_to_be_between", {"column": "text", "min_value": 3})))
    with pytest.raises(ConfigError, match=r"cannot be computed .*suite\.json: expect_column_values_to_be") as caught:
        _check(suite, "hello")
    assert "hello" not in str(caught.value)


CODE = """
import great_expectations as gx
import great_expectations.expectations as gxe


class ExpectColumnValuesToGreet(gxe.ExpectColumnValuesToMatchRegex):
    regex: str = "^hello"


def suite():
    greets = ExpectColumnValuesToGreet(column="text")
    return gx.ExpectationSuite(name="greetings", expectations=[greets])
"""


def test_a_suite_may_be_code_with_expectations_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "greetings.py"
    path.write_text(CODE, encoding="utf-8")
    suite = load_suite(path, tmp_path)
    assert suite.name == "greetings" and suite.columns == {"text"}
    assert list(_check(suite, "hello you", "who?").failed_rows) == [1]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def suite(:", "SyntaxError"),
        ("import no_such_module", "No module named 'no_such_module'"),
        ("", "no attribute 'suite'"),
        ("def suite(): return []", "suite\\(\\) returns no great_expectations.ExpectationSuite"),
        ("def suite(): raise SystemError('broken')", "SystemError: broken"),
    ],
)
def test_code_that_makes_no_suite_is_named(tmp_path: Path, code: str, said: str) -> None:
    path = tmp_path / "suite.py"
    path.write_text(code, encoding="utf-8")
    _refused(path, rf"not a suite of expectations: .*{said}.*suite\.py", tmp_path)


def test_code_from_elsewhere_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "include").mkdir()
    path = tmp_path / "suite.py"
    path.write_text("raise SystemExit('it ran')", encoding="utf-8")
    _refused(tmp_path / "include" / ".." / "suite.py", "code is run from the include folder only", tmp_path / "include")


def _refused(path: Path, said: str, include: Path | None = None) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        load_suite(path, include)
    assert "\n" not in str(caught.value)


def _page(folder: Path, suite: Path, *texts: str) -> str:
    loaded = load_suite(suite)
    index = write_data_docs(folder, "shop, a day", {"tickets": (loaded, _check(loaded, *texts, before=10))})
    listed = index.read_text(encoding="utf-8")
    (name,) = re.findall(r'href="([^"]+)"', listed)
    assert "shop, a day" in listed
    return (folder / name).read_text(encoding="utf-8")


def test_data_docs_show_each_expectation_and_what_was_seen(write: Write, tmp_path: Path) -> None:
    page = _page(tmp_path / "docs", write(LETTERS, MANY, STEADY), "hello", "12345")
    text = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    assert "shop, a day, tickets" in text
    assert "values must match this regular expression: [a-z]" in text and "50% unexpected" in text
    assert "Must have greater than or equal to 3 rows" in text
    assert "rows_ratio is 0.2" in text


def test_data_docs_hold_no_text_of_any_query(write: Write, tmp_path: Path) -> None:
    suite = write(
        ("expect_column_values_to_match_regex", {"column": "text", "regex": "^[0-9]+$"}),
        ("expect_column_values_to_be_unique", {"column": "text"}),
        ("expect_column_values_to_be_in_set", {"column": "conversation", "value_set": ["a"], "mostly": 0.1}),
        ("expect_column_distinct_values_to_be_in_set", {"column": "text", "value_set": ["a"]}),
        ("expect_column_most_common_value_to_be_in_set", {"column": "text", "value_set": ["a"]}),
        ("expect_column_pair_values_to_be_equal", {"column_A": "text", "column_B": "roles"}),
    )
    _page(tmp_path / "docs", suite, "private matters", "private matters", "other affairs")
    written = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "docs").iterdir())
    assert "private" not in written and "affairs" not in written


def test_data_docs_open_without_a_network_and_run_nothing(write: Write, tmp_path: Path) -> None:
    page = _page(tmp_path / "docs", write(LETTERS, MANY, STEADY), "hello", "12345")
    assert "http" not in page and "//" not in page
    assert not re.findall(r"<(?:script|img|iframe|link|object)|\bon\w+=|@import|url\(", page)


def test_data_docs_are_replaced_by_the_next_attempt(write: Write, tmp_path: Path) -> None:
    _page(tmp_path / "docs", write(LETTERS), "hello")
    before = sorted(path.name for path in (tmp_path / "docs").iterdir())
    digits = write(("expect_column_values_to_match_regex", {"column": "text", "regex": "[0-9]"}))
    assert "[0-9]" in _page(tmp_path / "docs", digits, "1")
    assert sorted(path.name for path in (tmp_path / "docs").iterdir()) == before


def test_the_projects_own_suite_takes_messages_and_refuses_noise() -> None:
    suite = PROJECT / "include" / "expectations" / "tickets.json"
    checked = _check(suite, "Anna here, my rain jacket is late.", "hi", "1234567890123", "x" * 2001)
    assert sorted(checked.failed_rows) == [1, 2, 3] and checked.failures == []
