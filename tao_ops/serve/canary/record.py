"""The record of canaries in PostgreSQL: each a row with a state, moved by compare-and-set, and what servers counted.

Every function takes a connection to the database ``tao`` and works within the caller's transaction. The champion's
history is told of a canary by :mod:`tao_ops.registry.canaries`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tao_ops.config.serve import CanaryConfig
from tao_ops.database import ensure_schema
from tao_ops.errors import RegistryError
from tao_ops.serve.canary.counts import Counts
from tao_ops.serve.exchange import Arm

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[dict[str, Any]]
    AsyncConnection = psycopg.AsyncConnection[dict[str, Any]]

CHANNEL = "tao_champion"
"""Servers listen here: a flywheel's name, whenever they should look at its champion and canary."""

_NEWEST = "canary_counts"
_SCHEMA = """
create table if not exists canaries (
    id bigint generated always as identity primary key,
    flywheel text not null, version integer not null, champion integer not null, turn text, run_id text,
    share double precision not null, shadow double precision not null, limits jsonb not null,
    since timestamptz not null default now(), state text not null default 'running',
    who text, why text, ended_at timestamptz
);
create index if not exists canaries_by_flywheel on canaries (flywheel, id);
create unique index if not exists canaries_running on canaries (flywheel) where state = 'running';
create table if not exists canary_counts (
    canary bigint not null references canaries (id), server text not null, arm text not null,
    counts jsonb not null, at timestamptz not null default now(),
    primary key (canary, server, arm)
);
"""
_COLUMNS = (
    "id, flywheel, version, champion, turn, run_id, share, shadow, limits, since, state, who, why, ended_at,"
    " coalesce(ended_at, clock_timestamp()) - since as elapsed"
)
_CURRENT = f"select {_COLUMNS} from canaries where flywheel = %s and state = 'running'"
_THERE = "select to_regclass(%s) is not null as there"


class State(StrEnum):
    """Where a canary stands."""

    RUNNING = "running"
    """The candidate answers its share."""
    GROWN = "grown"
    """The candidate became the champion."""
    ROLLED_BACK = "rolled_back"
    """A limit was broken, or a person said no: the champion answers everybody again."""
    ENDED = "ended"
    """Not enough was asked in the time that it has: the champion stays."""
    SUPERSEDED = "superseded"
    """A newer candidate took its place, or another version became the champion."""


@dataclass(frozen=True)
class Canary:
    """A candidate on its way to be the champion.

    Attributes:
        version: the candidate's; ``champion``: of the one that it is compared with, 0 for the base model.
        share: of the users that it answers; ``shadow``: of the champion's requests that are copied to it.
        limits: all of the configuration that it began with.
        elapsed: since it began, to its end where it has ended; by the database's clock.
        who: ended it; None while it runs, as is ``why``.
    """

    id: int
    flywheel: str
    version: int
    champion: int
    turn: str | None
    run_id: str | None
    share: float
    shadow: float
    limits: CanaryConfig
    since: datetime
    state: State
    who: str | None
    why: str | None
    ended_at: datetime | None
    elapsed: timedelta = field(compare=False)

    @property
    def salt(self) -> str:
        """What the users' shares are drawn by."""
        return f"canary {self.id}"

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Canary":
        """A row of the table.

        Raises:
            RegistryError: another release began it, with limits that this one does not know.
        """
        try:
            limits = CanaryConfig.model_validate(row["limits"])
        except ValueError as error:
            raise RegistryError(
                f"the canary of version {row['version']} of {row['flywheel']} has limits of another release",
                mend="bring all servers and Airflow to the same release",
            ) from error
        return cls(**{**row, "limits": limits, "state": State(row["state"])})

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        told = {name: getattr(self, name) for name in ("id", "version", "champion", "turn", "run_id", "share")}
        told |= {"shadow": self.shadow, "state": self.state.value, "who": self.who, "why": self.why}
        ended = None if self.ended_at is None else self.ended_at.isoformat(timespec="seconds")
        return told | {
            "since": self.since.isoformat(timespec="seconds"),
            "ended_at": ended,
            "seconds": round(self.elapsed.total_seconds()),
            "limits": self.limits.model_dump(mode="json"),
        }


def ensure_tables(connection: "Connection") -> None:
    """Make what is missing. Where nothing is, no table is locked."""
    row = connection.execute(_THERE, [_NEWEST]).fetchone()
    if row is None or not row["there"]:
        ensure_schema(connection, _SCHEMA)


def current(connection: "Connection", flywheel: str) -> Canary | None:
    """The canary that runs; None where there is none, or never was a registry."""
    there = connection.execute(_THERE, [_NEWEST]).fetchone()
    row = connection.execute(_CURRENT, [flywheel]).fetchone() if there and there["there"] else None
    return None if row is None else Canary.of(row)


async def current_async(connection: "AsyncConnection", flywheel: str) -> Canary | None:
    """As :func:`current`, over an asynchronous connection whose rows are dictionaries."""
    there = await (await connection.execute(_THERE, [_NEWEST])).fetchone()
    if not there or not there["there"]:
        return None
    row = await (await connection.execute(_CURRENT, [flywheel])).fetchone()
    return None if row is None else Canary.of(row)


def last(connection: "Connection", flywheel: str, version: int | None = None) -> Canary | None:
    """The newest canary, of ``version`` where one is named; None where there never was one."""
    where, values = ("", []) if version is None else (" and version = %s", [version])
    row = connection.execute(
        f"select {_COLUMNS} from canaries where flywheel = %s{where} order by id desc limit 1".encode(),
        [flywheel, *values],
    ).fetchone()
    return None if row is None else Canary.of(row)


def by_id(connection: "Connection", number: int) -> Canary | None:
    """A canary by its number."""
    row = connection.execute(f"select {_COLUMNS} from canaries where id = %s".encode(), [number]).fetchone()
    return None if row is None else Canary.of(row)


def states(connection: "Connection", flywheel: str) -> dict[int, State]:
    """Of each version that ever was a canary, where its newest one stands."""
    rows = connection.execute(
        "select distinct on (version) version, state from canaries where flywheel = %s order by version, id desc",
        [flywheel],
    ).fetchall()
    return {row["version"]: State(row["state"]) for row in rows}


def begin(
    connection: "Connection",
    flywheel: str,
    version: int,
    *,
    champion: int,
    config: CanaryConfig,
    turn: str | None,
    run_id: str | None,
) -> Canary:
    """Begin a canary, and tell the servers; none may be running."""
    row = connection.execute(
        "insert into canaries (flywheel, version, champion, turn, run_id, share, shadow, limits)"
        f" values (%s, %s, %s, %s, %s, %s, %s, %s::jsonb) returning {_COLUMNS}".encode(),
        [flywheel, version, champion, turn, run_id, config.share, config.shadow, config.model_dump_json()],
    ).fetchone()
    assert row is not None
    notify(connection, flywheel)
    return Canary.of(row)


def finish(connection: "Connection", canary: Canary, state: State, *, who: str, why: str) -> bool:
    """Move a canary that runs to ``state``, and tell the servers; false where somebody was quicker."""
    row = connection.execute(
        "update canaries set state = %s, who = %s, why = %s, ended_at = clock_timestamp()"
        " where id = %s and state = 'running' returning id",
        [state.value, who, why, canary.id],
    ).fetchone()
    if row is None:
        return False
    notify(connection, canary.flywheel)
    return True


def notify(connection: "Connection", flywheel: str) -> None:
    """Tell the servers, once the transaction is through, to look at once."""
    connection.execute("select pg_notify(%s, %s)", [CHANNEL, flywheel])


def put_counts(connection: "Connection", canary: int, server: str, counts: Mapping[Arm, Counts]) -> None:
    """Replace what one server has counted so far.

    Args:
        server: names a start of a server: one that starts again begins at nothing, and has another name.
        counts: since that start, all of them.
    """
    for arm, each in counts.items():
        connection.execute(
            "insert into canary_counts (canary, server, arm, counts) values (%s, %s, %s, %s::jsonb)"
            " on conflict (canary, server, arm) do update set counts = excluded.counts, at = now()",
            [canary, server, arm.value, json.dumps(each.as_dict())],
        )


def counts_of(connection: "Connection", canary: int) -> dict[Arm, Counts]:
    """The sums over all servers, of each arm."""
    rows = connection.execute("select arm, counts from canary_counts where canary = %s", [canary]).fetchall()
    found = {arm: Counts() for arm in Arm}
    for row in rows:
        found[Arm(row["arm"])] += Counts.of(row["counts"])
    return found


def servers_of(connection: "Connection", canary: int) -> int:
    """How many starts of servers have counted."""
    row = connection.execute(
        "select count(distinct server) as servers from canary_counts where canary = %s", [canary]
    ).fetchone()
    return 0 if row is None else int(row["servers"])
