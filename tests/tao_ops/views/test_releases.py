"""The registry's versions, told from the record of champions alone."""

from typing import Any

import pytest

from tao_ops.database import connect
from tao_ops.errors import RegistryError
from tao_ops.registry import EventKind, Submission, record
from tao_ops.registry.versions import Registry
from tao_ops.views.releases import releases, standing

NAME = "tickets"


def _tell(url: str, *events: tuple[EventKind, tuple[int, int], int | None]) -> None:
    with connect(url) as connection:
        record.ensure_tables(connection)
        for kind, champions, version in events:
            record.add(connection, NAME, kind, who="anna", why="so", champions=champions, version=version)


def test_a_flywheel_of_no_release_has_the_base_model(database_url: str) -> None:
    (base,) = releases(database_url, NAME)
    assert (base.version, base.is_champion, base.was_champion, base.turn, base.at) == (0, True, True, None, None)


def test_a_version_tells_which_run_of_which_turn_made_it(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # As the registry itself writes it down; MLflow alone is left out.
    monkeypatch.setattr(Registry, "_mirror", lambda *_: None)
    registry = Registry(database_url, None)
    monkeypatch.setattr(registry._versions, "register", lambda submission: 4)
    run = "scheduled__2026-11-22T00:00:00+00:00"
    submission = Submission(NAME, "2026-11-21T00:00Z", run, {}, {}, {"decision": "undecided"}, "manifest.json")
    registry.register(submission)
    found = releases(database_url, NAME)
    assert [one.version for one in found] == [4, 0]
    assert (found[0].turn, found[0].run_id, found[0].decision) == ("2026-11-21T00:00Z", run, "undecided")
    assert found[0].at is not None and found[0].approval is None


def test_versions_tell_where_a_rollback_may_go_and_what_waits(database_url: str) -> None:
    _tell(
        database_url,
        (EventKind.REGISTERED, (0, 0), 1),
        (EventKind.PROMOTE, (0, 1), 1),
        (EventKind.REGISTERED, (1, 1), 2),
        (EventKind.PROMOTE, (1, 2), 2),
        (EventKind.REGISTERED, (2, 2), 3),
        (EventKind.PENDING, (2, 2), 3),
        (EventKind.EXPIRED, (2, 2), 1),
    )
    found = {one.version: one for one in releases(database_url, NAME)}
    assert list(found) == [3, 2, 1, 0]
    assert {v: (one.is_champion, one.was_champion, one.expired, one.approval) for v, one in found.items()} == {
        3: (False, False, False, "pending"),
        2: (True, True, False, None),
        1: (False, True, True, None),
        0: (False, True, False, None),
    }
    stands = standing(database_url, NAME)
    assert (stands.champion, stands.champions) == (2, {1, 2})
    _tell(database_url, (EventKind.ROLLBACK, (2, 1), 1))
    assert standing(database_url, NAME).champion == 1


def test_events_about_a_version_come_oldest_first(database_url: str) -> None:
    _tell(database_url, (EventKind.REGISTERED, (0, 0), 1), (EventKind.REGISTERED, (0, 0), 2))
    _tell(database_url, (EventKind.PROMOTE, (0, 1), 1))
    told: list[Any] = [(e.kind, e.before, e.after, e.who) for e in standing(database_url, NAME).about(1)]
    assert told == [("registered", 0, 0, "anna"), ("promote", 0, 1, "anna")]


def test_events_of_the_first_release_name_a_version_by_where_the_champion_went(database_url: str) -> None:
    _tell(database_url, (EventKind.PROMOTE, (0, 1), None))
    found = releases(database_url, NAME)
    assert [(one.version, one.is_champion, one.turn, one.at) for one in found] == [
        (1, True, None, None),
        (0, False, None, None),
    ]


def test_a_registry_that_is_away_says_so() -> None:
    with pytest.raises(RegistryError, match="no connection to PostgreSQL"):
        releases("postgresql://127.0.0.1:1/tao", NAME)
