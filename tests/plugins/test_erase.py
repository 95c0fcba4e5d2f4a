"""The erasure as a task: its command lines, and that no person's name reaches them, the log or a message."""

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from tao_airflow import erase
from tao_airflow.erase import EraseOperator

from tao_ops.privacy import keyed_hash

Context = Callable[..., dict[str, Any]]
HASH, QUERY = "5b2f" * 8, "0f3a" * 8
NOTHING = {"flywheel": "tickets", "user_hash": None, "user_variable": None, "query_id": None}
ASKED = NOTHING | {"reason": "case 17", "dry_run": True}
SIGNED = ["--reason=case 17", "--by=ann"]
ANNA = "anna@example.org"


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Airflow's Variables."""
    there = {"erase_secret_17": ANNA, "erase_secret_line": f"{ANNA}\n", "tao_hash_key": "k"}
    monkeypatch.setattr(erase.Variable, "get", lambda key, default=None: there.get(key, default))
    monkeypatch.setattr(erase.Variable, "delete", there.pop)
    monkeypatch.setenv("TAO_HASH_KEY", "k")
    return there


def run(context: Context, **asked: Any) -> None:
    given = context(run_id="manual__1", triggering_user_name="ann", params=ASKED | asked)
    EraseOperator(task_id="erase", flywheels=["orders", "tickets"]).execute(given)


@pytest.mark.parametrize(
    ("asked", "subject"),
    [({"user_hash": HASH}, ["--user-hash", HASH]), ({"query_id": QUERY}, ["--query", QUERY])],
    ids=["a person", "a query"],
)
@pytest.mark.parametrize(("dry_run", "last"), [(True, ["--dry-run"]), (False, [])], ids=["dry", "for good"])
def test_the_form_becomes_the_command(
    stand_in: Any,
    task_log: list[str],
    context: Context,
    asked: dict[str, Any],
    subject: list[str],
    dry_run: bool,
    last: list[str],
) -> None:
    run(context, **asked, dry_run=dry_run)
    assert [call["arguments"] for call in stand_in.calls] == [["erase", "tickets", *subject, *SIGNED, *last]]


def test_without_a_flywheel_it_is_done_in_each(stand_in: Any, task_log: list[str], context: Context) -> None:
    run(context, flywheel=None, user_hash=HASH)
    assert [call["arguments"][:4] for call in stand_in.calls] == [
        ["erase", name, "--user-hash", HASH] for name in ("orders", "tickets")
    ]


def test_one_whose_yaml_cannot_be_read_is_not_passed_over_in_silence(
    stand_in: Any, task_log: list[str], context: Context, variables: dict[str, str]
) -> None:
    asked = ASKED | {"flywheel": None, "user_variable": "erase_secret_17", "dry_run": False}
    erasing = EraseOperator(task_id="erase", flywheels=["orders", "tickets"], unreadable=["broken"])
    with pytest.raises(AirflowFailException, match=r"not in broken, .* config_errors.py .* run it again"):
        erasing.execute(context(run_id="manual__1", triggering_user_name="ann", params=asked))
    assert [call["arguments"][1] for call in stand_in.calls] == ["orders", "tickets"]
    assert "erase_secret_17" in variables, "it is needed once more"
    erasing.execute(context(run_id="manual__2", triggering_user_name="ann", params=asked | {"flywheel": "tickets"}))


def test_a_person_of_a_variable_is_hashed_here_and_forgotten_once_erased(
    stand_in: Any, task_log: list[str], context: Context, variables: dict[str, str]
) -> None:
    run(context, user_variable="erase_secret_17")
    assert "erase_secret_17" in variables, "a dry run keeps it for the run that follows"
    run(context, user_variable="erase_secret_17", dry_run=False)
    assert "erase_secret_17" not in variables
    hashed = keyed_hash(b"k", "user", ANNA)
    assert [call["arguments"][3] for call in stand_in.calls] == [hashed, hashed]
    assert ANNA not in str(task_log) + str(stand_in.calls)


def test_where_it_fails_the_variable_stays_for_the_next_try_and_no_message_names_the_person(
    stand_in: Any, task_log: list[str], context: Context, variables: dict[str, str]
) -> None:
    stand_in.does("sys.exit(75)")
    with pytest.raises(AirflowException) as caught:
        run(context, user_variable="erase_secret_17", dry_run=False)
    assert type(caught.value) is AirflowException and "erase_secret_17" in variables
    assert ANNA not in str(caught.value) + str(task_log)


def test_the_key_of_the_hashes_may_be_a_variable(
    stand_in: Any,
    task_log: list[str],
    context: Context,
    variables: dict[str, str],
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TAO_HASH_KEY")
    monkeypatch.setenv("TAO_HOME", str(tmp_path))
    run(context, user_variable="erase_secret_17")
    assert stand_in.calls[0]["arguments"][3] == keyed_hash(b"k", "user", ANNA)
    del variables["tao_hash_key"]
    with pytest.raises(AirflowFailException, match="no key for the hashes of users"):
        run(context, user_variable="erase_secret_17")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "0 of the fields user_hash, user_variable, query_id are filled in"),
        ({"user_hash": HASH, "query_id": QUERY}, "2 of the fields"),
        ({"user_variable": "erase_secret"}, "there is no Variable 'erase_secret', or it is empty"),
        ({"user_variable": "erase_secret_line"}, "the Variable 'erase_secret_line' begins or ends with a blank"),
    ],
    ids=["nobody", "two", "no variable", "a line's end"],
)
def test_a_form_that_names_nobody_or_two_erases_nothing(
    stand_in: Any,
    task_log: list[str],
    context: Context,
    variables: dict[str, str],
    asked: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(AirflowFailException, match=message) as caught:
        run(context, **asked)
    assert ANNA not in str(caught.value) + str(task_log)
    assert not stand_in.path.with_name("calls.jsonl").exists()
