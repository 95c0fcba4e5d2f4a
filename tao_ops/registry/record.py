"""The record of a flywheel's champion: who it is, all that happened, and the month's tests against it.

Every function takes a connection to the database ``tao`` and works within the caller's transaction.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tao_ops.database import ensure_schema, lock_key

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[dict[str, Any]]

BASE = 0
"""The base model's version."""
TIME_LIMIT = "time limit"
"""Who rejected, where nobody answered."""
_BY_RUN, _ON_ANOTHER_LOOK = "run ", ", on another look"

_NEWEST = "gate_tests"
"""The last of the tables to be made: where it is there, all are."""
_SCHEMA = """
create table if not exists champions (
    flywheel text primary key, version integer not null, moved_at timestamptz not null default now()
);
create table if not exists champion_events (
    id bigint generated always as identity primary key,
    flywheel text not null, kind text not null, at timestamptz not null default now(),
    who text not null, why text not null, from_version integer not null, to_version integer not null
);
alter table champion_events add column if not exists version integer;
create index if not exists champion_events_by_flywheel on champion_events (flywheel, id);
create table if not exists gate_tests (
    flywheel text not null, champion integer not null, month text not null, candidate text not null,
    number integer not null, at timestamptz not null,
    primary key (flywheel, champion, month, candidate), unique (flywheel, champion, month, number)
);
"""


class EventKind(StrEnum):
    """What happened to the champion, or to a version."""

    REGISTERED = "registered"
    """A candidate got its version; the champion stayed."""
    PENDING = "pending"
    """The gate said promote, and a person is asked; the champion stayed."""
    PROMOTE = "promote"
    """A version became the champion."""
    REJECT = "reject"
    """A version that was pending does not become the champion."""
    ROLLBACK = "rollback"
    """An earlier champion, or the base model, became the champion again."""
    ALIAS_REPAIRED = "alias_repaired"
    """One of MLflow's aliases had been moved by hand; the champion stayed."""
    EXPIRED = "expired"
    """A version's weights were deleted; the champion stayed."""
    CANARY_STARTED = "canary_started"
    """A version answers a share of the users; the champion stayed. Where it grows, a promotion follows."""
    CANARY_ROLLED_BACK = "canary_rolled_back"
    """It broke a limit, or a person said no; the champion stayed."""
    CANARY_ENDED = "canary_ended"
    """It was not asked enough in time, a newer one took its place, or the champion moved."""


CANARY_ENDS = (EventKind.CANARY_ROLLED_BACK, EventKind.CANARY_ENDED)
MOVES = (EventKind.PROMOTE, EventKind.ROLLBACK)
"""Those that move the champion; of all others ``from`` and ``to`` are the champion of that moment."""


class Answer(StrEnum):
    """Where an approval stands."""

    PENDING = "pending"
    """Nobody has answered yet."""
    CANARY = "canary"
    """A person said yes, and a share of the users is answered by it."""
    APPROVED = "approved"
    """It became the champion."""
    REJECTED = "rejected"
    """A person said no, nobody answered in time, or its canary did not grow."""


_ANSWERS = {
    EventKind.PENDING: Answer.PENDING,
    EventKind.PROMOTE: Answer.APPROVED,
    EventKind.REJECT: Answer.REJECTED,
    EventKind.CANARY_STARTED: Answer.CANARY,
    EventKind.CANARY_ROLLED_BACK: Answer.REJECTED,
    EventKind.CANARY_ENDED: Answer.REJECTED,
}


@dataclass(frozen=True)
class ChampionEvent:
    """One line of a flywheel's history; version 0 is the base model.

    Attributes:
        from_version: the champion before.
        to_version: the champion after.
        version: whom it is about; None where it is about no single one.
    """

    kind: EventKind
    at: datetime
    who: str
    why: str
    from_version: int
    to_version: int
    version: int | None = None

    def touches(self, version: int) -> bool:
        """Whether it is about ``version``, or moved the champion from it or to it."""
        return self.version == version or (self.kind in MOVES and version in (self.from_version, self.to_version))

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        told = {"kind": self.kind.value, "at": self.at.isoformat(timespec="seconds"), "who": self.who, "why": self.why}
        return {**told, "from": self.from_version, "to": self.to_version, "version": self.version}


def ensure_tables(connection: "Connection") -> None:
    """Make what is missing. Where nothing is, no table is locked: others may be at work on it."""
    row = connection.execute("select to_regclass(%s) is not null as there", [_NEWEST]).fetchone()
    if row is None or not row["there"]:
        ensure_schema(connection, _SCHEMA)


def current(connection: "Connection", flywheel: str, *, for_update: bool = False) -> int:
    """The champion's version; with ``for_update`` nobody else moves it until the transaction ends."""
    if for_update:
        connection.execute(
            "insert into champions (flywheel, version) values (%s, %s) on conflict do nothing",
            [flywheel, BASE],
        )
    row = connection.execute(
        "select version from champions where flywheel = %s" + (" for update" if for_update else ""),
        [flywheel],
    ).fetchone()
    return BASE if row is None else int(row["version"])


def set_current(connection: "Connection", flywheel: str, version: int) -> None:
    """Make ``version`` the champion, and tell the servers once that is through; its row is there and locked."""
    connection.execute("update champions set version = %s, moved_at = now() where flywheel = %s", [version, flywheel])
    connection.execute("select pg_notify('tao_champion', %s)", [flywheel])


def add(
    connection: "Connection",
    flywheel: str,
    kind: EventKind,
    *,
    who: str,
    why: str,
    champions: tuple[int, int],
    version: int | None = None,
) -> None:
    """Write down an event; ``champions`` are the ones before and after it."""
    connection.execute(
        "insert into champion_events (flywheel, kind, who, why, from_version, to_version, version)"
        " values (%s, %s, %s, %s, %s, %s, %s)",
        [flywheel, kind.value, who, why, *champions, version],
    )


def events(connection: "Connection", flywheel: str) -> list[ChampionEvent]:
    """The flywheel's history, oldest first."""
    rows = connection.execute(
        "select kind, at, who, why, from_version, to_version, version from champion_events"
        " where flywheel = %s order by id",
        [flywheel],
    ).fetchall()
    return [ChampionEvent(**{**row, "kind": EventKind(row["kind"])}) for row in rows]


def answer(history: list[ChampionEvent], version: int) -> Answer | None:
    """Where the approval of a version stands; None where nobody was ever asked."""
    mine = [event for event in history if event.kind in _ANSWERS and _about(event) == version]
    asked = any(event.kind is EventKind.PENDING for event in mine)
    return _ANSWERS[mine[-1].kind] if asked else None


def settled(history: list[ChampionEvent], version: int) -> ChampionEvent | None:
    """The last time that a version was promoted, or rejected by a person, by time or by its canary, if it ever was.

    A run that takes back its own question is none of these: its next verdict may be another.
    """
    kinds = (EventKind.PROMOTE, EventKind.REJECT, *CANARY_ENDS)
    ends = [e for e in history if e.kind in kinds and _about(e) == version]
    answers = [e for e in ends if not _is_of_run(e)]
    return answers[-1] if answers else None


def taken_back(run_id: str, why: str) -> tuple[str, str]:
    """Who and why, of the event that a run takes its question back by; :func:`settled` knows it by these."""
    return f"{_BY_RUN}{run_id}", f"{why}{_ON_ANOTHER_LOOK}"


def overdue(history: list[ChampionEvent], limit: timedelta, now: datetime) -> list[int]:
    """The versions that have waited for an answer for longer than ``limit``, in their order."""
    asked = {_about(e): e.at for e in history if e.kind is EventKind.PENDING}
    return [v for v, at in sorted(asked.items()) if now - at > limit and answer(history, v) is Answer.PENDING]


def on_canary(history: list[ChampionEvent]) -> int | None:
    """The version whose canary runs; None where there is none."""
    told = [e for e in history if e.kind in (*MOVES, *CANARY_ENDS, EventKind.CANARY_STARTED)]
    return told[-1].version if told and told[-1].kind is EventKind.CANARY_STARTED else None


def ended(history: list[ChampionEvent], version: int) -> ChampionEvent | None:
    """The last time that a version ceased to be the champion; None where it never did."""
    moves = [e for e in history if e.kind in MOVES and e.from_version == version]
    return moves[-1] if moves else None


def previous(history: list[ChampionEvent], champion: int) -> int | None:
    """The champion that ``champion`` took the place of when it was last promoted; None where it never was.

    So a rollback, done again, goes one more step back, and not forth to what was taken back.

    >>> moved = lambda kind, old, new: ChampionEvent(kind, datetime.min, "", "", old, new)
    >>> history = [moved(EventKind.PROMOTE, 0, 1), moved(EventKind.PROMOTE, 1, 2), moved(EventKind.ROLLBACK, 2, 1)]
    >>> previous(history, 2), previous(history, 1), previous(history, 0)
    (1, 0, None)
    """
    mine = [e for e in history if e.kind is EventKind.PROMOTE and e.to_version == champion]
    return mine[-1].from_version if mine else None


def was_champion(history: list[ChampionEvent], version: int) -> bool:
    """Whether the champion was ever this version."""
    return version == BASE or any(e.kind in MOVES and version in (e.from_version, e.to_version) for e in history)


def aliases(history: list[ChampionEvent], champion: int) -> dict[str, int]:
    """Where MLflow's aliases belong; one that is on no version is left out.

    ``candidate`` is the newest version, unless it is or was the champion.
    """
    newest = max((e.version for e in history if e.kind is EventKind.REGISTERED and e.version), default=BASE)
    found = {
        "champion": champion,
        "previous": previous(history, champion) or BASE,
        "candidate": BASE if newest == champion or was_champion(history, newest) else newest,
    }
    return {alias: version for alias, version in found.items() if version != BASE}


def test_number(
    connection: "Connection", flywheel: str, *, champion: int, candidate: str, at: datetime, timezone: str
) -> int:
    """Which of the month's tests of ``champion`` this is; see :meth:`Registry.test_number`."""
    key = [flywheel, champion, f"{at.astimezone(ZoneInfo(timezone)):%Y-%m}"]
    # One counts at a time; a lock of the transaction goes with it, however it ends.
    connection.execute("select pg_advisory_xact_lock(%s)", [lock_key(f"gate tests {flywheel}")])
    connection.execute(
        "insert into gate_tests (flywheel, champion, month, candidate, number, at)"
        " select %s, %s, %s, %s, coalesce(max(number), 0) + 1, %s from gate_tests"
        " where flywheel = %s and champion = %s and month = %s"
        " on conflict (flywheel, champion, month, candidate) do nothing",
        [*key, candidate, at, *key],
    )
    row = connection.execute(
        "select number from gate_tests where flywheel = %s and champion = %s and month = %s and candidate = %s",
        [*key, candidate],
    ).fetchone()
    assert row is not None
    return int(row["number"])


def _is_of_run(event: ChampionEvent) -> bool:
    by_run = event.who.startswith(_BY_RUN) and event.why.endswith(_ON_ANOTHER_LOOK)
    return event.kind is EventKind.REJECT and by_run


def _about(event: ChampionEvent) -> int:
    """Whom an event is about; those of earlier releases, promotions, tell it by where the champion went."""
    return event.to_version if event.version is None else event.version
