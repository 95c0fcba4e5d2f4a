"""What a process says, as a task's log: levels, folds, tracebacks, and secrets."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from tao_airflow import task_log as module
from tao_airflow.task_log import TaskLog, secrets

from tao_ops.story import OWN

LEVELS = {logging.INFO: "", logging.WARNING: "W ", logging.ERROR: "E "}
TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "/a.py", line 1, in f',
    "    return {}[x]",
    "KeyError: 'x'",
    "The above exception was the direct cause of the following exception:",
    "Traceback (most recent call last):",
    '  File "/b.py", line 2, in g',
    "ValueError: no x",
]


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The entries of a log, in order, with their level; titles and ends of folds among them."""
    found: list[str] = []
    logger = logging.getLogger("log of a test")
    logger.setLevel(logging.INFO)
    handler = logging.Handler()
    handler.emit = lambda record: found.append(LEVELS[record.levelno] + record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    monkeypatch.setattr(module, "_FOLDS", logger)
    yield found
    logger.removeHandler(handler)


def told(*lines: str, marked: bool = False) -> TaskLog:
    log = TaskLog(logging.getLogger("log of a test"), marked=marked)
    for line in lines:
        log(line)
    log.close()
    return log


def own(*lines: str) -> list[str]:
    return [f"{OWN}{line}" for line in lines]


def test_a_warning_and_an_error_have_their_levels(entries: list[str]) -> None:
    log = told("142 queries", "warning: few rows", "error: no such key [a.yaml]", "bye")
    assert entries == ["142 queries", "W warning: few rows", "E error: no such key [a.yaml]", "bye"]
    assert log.error == "error: no such key [a.yaml]"


def test_a_traceback_is_one_entry_and_names_its_exception(entries: list[str]) -> None:
    log = told("before", *TRACEBACK, "after")
    assert entries == ["before", "E " + "\n".join(TRACEBACK), "after"]
    assert log.exception == "ValueError: no x"


def test_the_further_lines_of_an_exceptions_message_are_its_own(entries: list[str]) -> None:
    lines = [*TRACEBACK[:3], "ValidationError: 1 error for Config", "update.method", "  Input should be raft"]
    log = told(*lines, "error: see above", *own("in: 3"), marked=True)
    assert entries == ["E " + "\n".join(lines), "E error: see above", "in: 3"]
    assert log.exception == "ValidationError: 1 error for Config"


def test_a_traceback_at_the_very_end_is_not_lost(entries: list[str]) -> None:
    told(*TRACEBACK[:4])
    assert entries == ["E " + "\n".join(TRACEBACK[:4])]


def test_what_a_stage_folds_stands_under_its_title(entries: list[str]) -> None:
    told(*own("::group::settings", "a: 1", "b: 2", "::endgroup::", "in: 3 rows"), marked=True)
    assert entries == ["::group::settings", "a: 1", "b: 2", "::endgroup::", "in: 3 rows"]


def test_what_libraries_say_is_folded_between_the_stages_own_lines(entries: list[str]) -> None:
    told(*own("in: 3 rows"), "INFO vllm: hello", "INFO vllm: again", *own("10 of 20"), marked=True)
    folded = ["::group::what libraries say", "INFO vllm: hello", "INFO vllm: again", "::endgroup::"]
    assert entries == ["in: 3 rows", *folded, "10 of 20"]


def test_warnings_and_errors_are_never_folded_away(entries: list[str]) -> None:
    told(*own("::group::engine", "one"), "warning: slow", *own("two"), *TRACEBACK[:4], "error: it died", marked=True)
    assert entries[:5] == ["::group::engine", "one", "::endgroup::", "W warning: slow", "::group::engine"]
    assert entries[5:] == ["two", "::endgroup::", "E " + "\n".join(TRACEBACK[:4]), "E error: it died"]


def test_a_fold_that_a_killed_stage_left_open_hides_nothing_that_follows(entries: list[str]) -> None:
    told(*own("::group::engine", "starting"), marked=True)
    assert entries == ["::group::engine", "starting", "::endgroup::"]


def test_nobody_else_folds_and_an_empty_fold_is_none(entries: list[str]) -> None:
    told("::group::of a library", *own("a ::endgroup:: within", "::group::empty", "::endgroup::"), marked=True)
    assert not [entry for entry in entries if entry.startswith("::group::") and entry != "::group::what libraries say"]
    assert not [entry for entry in entries if "::endgroup::" in entry and entry != "::endgroup::"]


def test_a_line_that_is_far_too_long_is_cut(entries: list[str]) -> None:
    told("x" * 10_000)
    assert entries == ["x" * 4_000 + " … (6,000 characters more)"]


def test_a_stages_own_words_are_seen_where_a_library_left_its_line_open(entries: list[str]) -> None:
    log = told(*own("in: 3 rows"), f"Loading … {OWN}error: no such key", marked=True)
    folded = ["::group::what libraries say", "Loading …", "::endgroup::"]
    assert entries == ["in: 3 rows", *folded, "E error: no such key"]
    assert log.error == "error: no such key"


def test_what_comes_without_an_end_after_a_traceback_is_not_kept_back(entries: list[str]) -> None:
    log = TaskLog(logging.getLogger("log of a test"), marked=True)
    for line in [*TRACEBACK[:4], *(f"INFO vllm: {number}" for number in range(2_000))]:
        log(line)
    assert entries[0].startswith("E " + "\n".join(TRACEBACK[:4])) and entries[-1] == "INFO vllm: 1999"
    log.close()
    assert log.exception == "KeyError: 'x'"


def test_no_part_of_a_secret_is_left_where_a_line_is_cut(entries: list[str]) -> None:
    log = TaskLog(logging.getLogger("log of a test"), secrets={"sesame", "sesame-open-up"})
    log("x" * 3_990 + "sesame-open-up" + "y" * 100)
    log("error: sesame is wrong")
    log.close()
    assert entries[0].startswith("x" * 3_990 + "***y") and log.error == "error: *** is wrong"


@pytest.mark.parametrize(
    ("name", "value", "hidden"),
    [
        ("TAO_HASH_KEY", "of-the-hashes", ["of-the-hashes"]),
        ("TAO_DATABASE_URL", "postgresql://tao:p%40ssword@db/tao", ["p%40ssword", "p@ssword"]),
        ("HTTPS_PROXY", "http://me:proxied@proxy:3128", ["proxied"]),
        ("HTTP_PROXY", "http://me:p@ssword@proxy:3128", ["p@ssword"]),
        ("BROKERS", "amqp://a:first[1@one:5672,amqp://a:second@two:5672", ["first[1", "second"]),
        (
            "ROBOT_KEY",
            "-----BEGIN-----\nabcdef\n\n=x=\n",
            ["-----BEGIN-----\nabcdef\n\n=x=\n", "-----BEGIN-----", "abcdef"],
        ),
        ("AWS_SECRET_ACCESS_KEY", "abc/def+ghi", ["abc/def+ghi"]),
        ("AZURE_STORAGE_CONNECTION_STRING", "AccountKey=abcdef", ["AccountKey=abcdef"]),
        ("PARTNER_API_KEY", "sk-12345", ["sk-12345"]),
        ("HF_TOKEN", "hf_abcdef", ["hf_abcdef"]),
        ("TAO_CONNECTION_LOGS", '{"login": "AKIA12345", "password": "abc/def+ghi"}', ["abc/def+ghi"]),
        (
            "TAO_CONNECTION_LOGS",
            '{"extra": {"region_name": "eu-west-1", "aws_session_token": "t-12345", "key_path": "/etc/keys"}}',
            ["t-12345"],
        ),
        (
            "TAO_CONNECTION_GOOGLE",
            '{"extra": {"keyfile_dict": "{\\"private_key\\": \\"abc-def\\", \\"private_key_id\\": \\"12345\\"}"}}',
            ["abc-def"],
        ),
        ("TAO_CONNECTION_TEACHER", "openai://:sk-12345@api.example.org", ["sk-12345"]),
        ("AWS_ACCESS_KEY_ID", "AKIA12345", []),
        ("MY_KEY_FILE", "/etc/keys", []),
        ("TOKENIZERS_PARALLELISM", "false", []),
        ("TAO_LAKE", "s3://bucket/lake@1", []),
        ("PGPASSWORD", "tao", []),
    ],
)
def test_which_values_are_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, name: str, value: str, hidden: list[str]
) -> None:
    monkeypatch.delenv("TAO_HASH_KEY", raising=False)
    monkeypatch.setenv("TAO_HOME", str(tmp_path))
    assert secrets({name: value}) == set(hidden)


def test_a_variable_that_the_yaml_names_as_a_key_is_one_whatever_it_is_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    class Config:
        def model_dump(self, mode: str) -> dict[str, Any]:
            return {"tasks": {"t": {"scorers": [{"server": {"api_key": "${PARTNER}", "url": "http://a"}}]}}}

    monkeypatch.delenv("TAO_HASH_KEY", raising=False)
    monkeypatch.setenv("TAO_HOME", str(tmp_path))
    assert secrets({"PARTNER": "open sesame", "OTHER": "no secret"}, Config()) == {"open sesame"}
