"""The servers of a flywheel, each with a row in PostgreSQL that it renews: what it serves, and what keeps it from more.

Every function takes a connection to the database ``tao`` and works within the caller's transaction.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tao_ops.database import ensure_schema
from tao_ops.registry import record

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[dict[str, Any]]

LIVES = timedelta(seconds=60)
"""A server that was not seen for longer is taken for gone."""
BEAT_SECONDS = 10.0
_TABLE = "servers"
_SCHEMA = """
create table if not exists servers (
    server text primary key, flywheel text not null, url text not null, host text not null, pid integer not null,
    version integer, model_version text, candidate integer, wanted integer, state text not null, error text,
    started_at timestamptz not null, seen_at timestamptz not null default now()
);
create index if not exists servers_by_flywheel on servers (flywheel, seen_at);
"""


class ServerState(StrEnum):
    """How a server stands to the champion record."""

    STARTING = "starting"
    """Nothing answers yet."""
    SERVING = "serving"
    """It serves what the record says, as far as it knows."""
    CHANGING = "changing"
    """It is on its way to what the record says, and serves the version before."""
    KEEPS = "keeps"
    """It could not take what the record says; its error says why, and it serves what it had."""
    DOWN = "down"
    """Its engine died, and is being started again."""
    STOPPED = "stopped"
    """It ended by itself."""


@dataclass(frozen=True)
class Standing:
    """What a server says of itself.

    Attributes:
        server: its name, the same after a restart.
        version: what answers, with its digest ``model_version``; None where nothing does.
        candidate: a canary's version that answers a share; None where there is none.
        wanted: what the record says, as far as it has seen it.
        error: what keeps it from that, or from the database.
        seen_at: when it said so, by the database's clock; None until it has.
    """

    server: str
    flywheel: str
    url: str
    host: str
    pid: int
    state: ServerState
    started_at: datetime
    version: int | None = None
    model_version: str | None = None
    candidate: int | None = None
    wanted: int | None = None
    error: str | None = None
    seen_at: datetime | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        told = {**asdict(self), "state": self.state.value, "started_at": self.started_at.isoformat(timespec="seconds")}
        return {**told, "seen_at": None if self.seen_at is None else self.seen_at.isoformat(timespec="seconds")}


@dataclass(frozen=True)
class Deployment:
    """Which of a flywheel's live servers serve its champion.

    Attributes:
        champion: its version.
        on: those that answer with it.
        behind: those that do not, or not yet.
    """

    champion: int
    on: Sequence[Standing] = field(default_factory=tuple)
    behind: Sequence[Standing] = field(default_factory=tuple)

    @property
    def done(self) -> bool:
        """Whether there is nothing to wait for: all live servers serve the champion, or none lives."""
        return not self.behind

    def describe(self) -> str:
        """One line for a log or an alert.

        >>> Deployment(champion=3).describe()
        'no server lives; the champion is version 3'
        """
        total = len(self.on) + len(self.behind)
        if not total:
            return f"no server lives; the champion is version {self.champion}"
        late = [
            f"{one.server} {one.state.value}"
            + (" nothing" if one.version is None else f" version {one.version}")
            + (f" ({one.error})" if one.error else "")
            for one in self.behind
        ]
        told = f"{len(self.on)} of {total} servers serve version {self.champion}"
        return told if not late else f"{told}; {'; '.join(late)}"


def ensure_tables(connection: "Connection") -> None:
    """Make what is missing. Where nothing is, no table is locked."""
    row = connection.execute("select to_regclass(%s) is not null as there", [_TABLE]).fetchone()
    if row is None or not row["there"]:
        ensure_schema(connection, _SCHEMA)


def beat(connection: "Connection", standing: Standing) -> None:
    """Write down how the server stands, seen now; the table is there."""
    told = asdict(standing) | {"state": standing.state.value}
    del told["seen_at"]
    names = list(told)
    sets = ", ".join(f"{name} = excluded.{name}" for name in names if name != "server")
    connection.execute(
        f"insert into servers ({', '.join(names)}) values ({', '.join(['%s'] * len(names))})"
        f" on conflict (server) do update set {sets}, seen_at = now()".encode(),
        [told[name] for name in names],
    )


def standing(connection: "Connection", flywheel: str, *, every: bool = False) -> list[Standing]:
    """The servers of a flywheel that live, by name; with ``every`` those that ended or vanished too."""
    there = connection.execute("select to_regclass(%s) is not null as there", [_TABLE]).fetchone()
    if there is None or not there["there"]:
        return []
    lives = "" if every else " and seen_at > now() - %s and state <> %s"
    rows = connection.execute(
        f"select * from servers where flywheel = %s{lives} order by server".encode(),
        [flywheel, *([] if every else [LIVES, ServerState.STOPPED.value])],
    ).fetchall()
    return [Standing(**{**row, "state": ServerState(row["state"])}) for row in rows]


def deployed(connection: "Connection", flywheel: str) -> Deployment:
    """Which of the live servers serve the champion of now."""
    record.ensure_tables(connection)
    champion = record.current(connection, flywheel)
    live = standing(connection, flywheel)
    # One whose engine is being started again answers nobody, whatever it will answer with.
    on = [one for one in live if one.version == champion and one.state is not ServerState.DOWN]
    return Deployment(champion, on, [one for one in live if one not in on])
