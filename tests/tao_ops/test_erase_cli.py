"""``tao erase`` as a command: who erased what and why is recorded, a dry run is not, and no name is."""

import json
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from tao_ops import erasure, erasure_events
from tao_ops.erase_cli import erase_command
from tao_ops.errors import LakeError
from tao_ops.privacy import keyed_hash
from tao_ops.stages import ingest

ANNA = keyed_hash(b"k", "user", "anna@example.org")
WHY = ("--reason", "case 17", "--by", "ben")


@pytest.fixture
def logged(shop: Any) -> Any:
    """The shop, with a day of Anna's queries in its tables."""
    shop.log(user="anna@example.org")
    ingest.run(shop.run())
    return shop


def erase(*words: str) -> Result:
    app = typer.Typer()
    app.command()(erase_command)
    return CliRunner().invoke(app, ["shop", *words])


def recorded(shop: Any) -> list[erasure_events.ErasureEvent]:
    return erasure_events.events(shop.settings.database_url, "shop")


def test_who_erased_a_person_and_why_is_recorded_by_hash(logged: Any) -> None:
    done = erase("--user", "anna@example.org", *WHY, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["rows"]["queries"] == 12
    (event,) = recorded(logged)
    assert (event.user_hash, event.query_id, event.who, event.why, event.rows) == (ANNA, None, "ben", "case 17", 12)
    assert event.ended_at is not None and event.ended_at >= event.begun_at
    history = erase("--history")
    assert [one["why"] for one in json.loads(history.stdout)] == ["case 17"]
    assert "anna" not in done.output + history.output + str(recorded(logged))


def test_a_dry_run_is_not_recorded_and_changes_nothing(logged: Any) -> None:
    before = logged.versions()
    done = erase("--user-hash", ANNA, *WHY, "--dry-run")
    assert done.exit_code == 0 and "queries: 12 rows would be removed" in done.stdout
    assert recorded(logged) == [] and logged.versions() == before


def test_one_that_did_not_end_is_told_apart_and_the_next_finishes_it(
    logged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise LakeError("a commit kept conflicting")

    with monkeypatch.context() as patch:
        patch.setattr(erasure, "remove", broken)
        assert erase("--user-hash", ANNA, *WHY).exit_code == 75
    assert erase("--user-hash", ANNA, *WHY).exit_code == 0
    assert [(one.ended_at is None, one.rows) for one in recorded(logged)] == [(True, None), (False, 12)]


def test_without_a_name_the_login_signs(logged: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "cleo")
    assert erase("--user-hash", ANNA).exit_code == 0
    assert [(one.who, one.why) for one in recorded(logged)] == [("cleo", "")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give exactly one of"),
        (("--user", "a", "--query", "b"), "give exactly one of"),
        (("--history", "--user", "a"), "give none of"),
        (("--user-hash", "anna@example.org"), "a hash of a user is 32 digits, 0 to 9 and a to f [--user-hash]"),
        (("--user-hash", f"{ANNA}\n"), "a hash of a user is 32 digits"),
        (("--query", "anna@example.org"), "the id of a query is 32 digits, 0 to 9 and a to f [--query]"),
    ],
)
def test_what_is_asked_for_must_be_clear(logged: Any, words: tuple[str, ...], said: str) -> None:
    done = erase(*words)
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1) and said in done.stderr
    assert recorded(logged) == [] and "anna" not in done.output
