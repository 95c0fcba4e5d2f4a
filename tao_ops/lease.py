"""The lease: one run at a time holds a turn.

A process at work holds it through its database connection: a row in ``lease_holders`` and a session lock that
PostgreSQL drops with the connection, so that a killed process frees the turn at once. Where each stage is a
process of its own, a stage that ended well leaves the turn reserved for its run's next stage for a while; a stage
that failed or died reserves nothing, and the run's retry takes the turn again.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tao_ops.database import connect, ensure_schema, lock_key
from tao_ops.errors import LeaseHeld, RegistryError
from tao_ops.turn import Turn

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[dict[str, Any]]

BETWEEN_STAGES = timedelta(minutes=15)
_CLASS = 7_411_001
"""First half of a holder's session lock; the second is the holder's number."""
_MUTEX_SECONDS = 10
_SCHEMA = """
create table if not exists lease_holders (
    id integer generated always as identity primary key,
    flywheel text not null, turn text not null, run_id text not null, stage text not null, shard integer,
    host text not null, pid integer not null, since timestamptz not null default now()
);
create table if not exists lease_reservations (
    flywheel text not null, turn text not null, run_id text not null, stage text not null,
    since timestamptz not null, until timestamptz not null, primary key (flywheel, turn)
);
"""


@contextmanager
def hold(
    url: str, turn: Turn, run_id: str, stage: str, shard: int | None = None, *, keep_between: bool
) -> Iterator[None]:
    """Hold ``turn`` for ``run_id`` while the block runs.

    The same run may hold it from several processes at once, for different stages or shards: the process that runs
    the whole turn and its stages, or shards side by side.

    Args:
        keep_between: leave the turn reserved for this run when the block ends well (:func:`release` ends it).

    Raises:
        LeaseHeld: another run holds the turn, or this run holds this stage and shard already.
        RegistryError: no database, or its connection was lost while the block ran, and with it the lease.
    """
    import psycopg

    connection = connect(url)
    try:
        holder = _acquire(connection, turn, run_id, stage, shard)
        ended_well = False
        try:
            yield
            ended_well = True
        finally:
            try:
                _let_go(connection, turn, run_id, stage, holder, reserve=ended_well and keep_between)
            except psycopg.Error as error:
                if ended_well:
                    raise _lost(turn, error) from None
    finally:
        connection.close()


def release(url: str, turn: Turn, run_id: str) -> None:
    """End the reservation that the run's last stage left; harmless where there is none."""
    import psycopg

    try:
        with connect(url) as connection:
            ensure_schema(connection, _SCHEMA)
            connection.execute(
                "delete from lease_reservations where flywheel = %s and turn = %s and run_id = %s",
                [turn.flywheel, turn.key, run_id],
            )
    except psycopg.Error as error:
        raise RegistryError(
            f"turn {turn.key} of {turn.flywheel} cannot be given back: {str(error).splitlines()[0]}"
        ) from None


def _acquire(connection: "Connection", turn: Turn, run_id: str, stage: str, shard: int | None) -> int:
    import psycopg

    try:
        ensure_schema(connection, _SCHEMA)
        with connection.transaction():
            connection.execute(f"set local lock_timeout = '{_MUTEX_SECONDS}s'")
            connection.execute("select pg_advisory_xact_lock(%s)", [lock_key(f"lease {turn.flywheel} {turn.key}")])
            for other in _living(connection, turn):
                if other["run_id"] != run_id or (other["stage"], other["shard"]) == (stage, shard):
                    raise _held(turn, other)
            _take_reservation(connection, turn, run_id)
            row = connection.execute(
                "insert into lease_holders (flywheel, turn, run_id, stage, shard, host, pid)"
                " values (%s, %s, %s, %s, %s, %s, %s) returning id",
                [turn.flywheel, turn.key, run_id, stage, shard, socket.gethostname(), os.getpid()],
            ).fetchone()
            assert row is not None
            # Inside the transaction, so that nobody sees the row before its lock; the lock itself is the session's.
            connection.execute("select pg_advisory_lock(%s, %s)", [_CLASS, row["id"]])
            return int(row["id"])
    except psycopg.Error as error:
        raise RegistryError(
            f"the lease of turn {turn.key} of {turn.flywheel} cannot be taken: {str(error).splitlines()[0]}"
        ) from None


def _living(connection: "Connection", turn: Turn) -> list[dict[str, Any]]:
    """This turn's holders whose connection lives, newest first; the others' rows are removed."""
    rows = connection.execute(
        "select h.*, exists (select 1 from pg_locks l where l.locktype = 'advisory' and l.granted"
        "  and l.database = (select oid from pg_database where datname = current_database())"
        "  and l.classid = %s and l.objid = h.id and l.objsubid = 2) as lives"
        " from lease_holders h where flywheel = %s and turn = %s order by id desc",
        [_CLASS, turn.flywheel, turn.key],
    ).fetchall()
    dead = [row["id"] for row in rows if not row["lives"]]
    connection.execute("delete from lease_holders where id = any(%s)", [dead])
    return [row for row in rows if row["lives"]]


def _take_reservation(connection: "Connection", turn: Turn, run_id: str) -> None:
    """End the turn's reservation: this run's own, or one that is over."""
    row = connection.execute(
        "delete from lease_reservations where flywheel = %s and turn = %s"
        " returning run_id, stage, since, until, until > now() as valid",
        [turn.flywheel, turn.key],
    ).fetchone()
    if row is not None and row["valid"] and row["run_id"] != run_id:
        raise LeaseHeld(
            f"turn {turn.key} of {turn.flywheel} is held by run {row['run_id']}: its stage {row['stage']} ended at"
            f" {_clock(row['since'])}, and the next one has until {_clock(row['until'])} to begin",
            mend="wait for that run to end, or stop it",
        )


def _let_go(connection: "Connection", turn: Turn, run_id: str, stage: str, holder: int, *, reserve: bool) -> None:
    with connection.transaction():
        if reserve:
            connection.execute(
                "insert into lease_reservations values (%s, %s, %s, %s, now(), now() + %s)"
                " on conflict (flywheel, turn) do update set run_id = excluded.run_id, stage = excluded.stage,"
                " since = excluded.since, until = excluded.until",
                [turn.flywheel, turn.key, run_id, stage, BETWEEN_STAGES],
            )
        connection.execute("delete from lease_holders where id = %s", [holder])
    connection.execute("select pg_advisory_unlock(%s, %s)", [_CLASS, holder])


def _held(turn: Turn, holder: dict[str, Any]) -> LeaseHeld:
    shard = "" if holder["shard"] is None else f", shard {holder['shard']}"
    return LeaseHeld(
        f"turn {turn.key} of {turn.flywheel} is held by run {holder['run_id']} (host {holder['host']}, pid"
        f" {holder['pid']}, stage {holder['stage']}{shard}, since {_clock(holder['since'])})",
        mend="wait for that run to end, or stop it",
    )


def _lost(turn: Turn, error: Exception) -> RegistryError:
    return RegistryError(
        f"the lease of turn {turn.key} of {turn.flywheel} was lost: {str(error).splitlines()[0]}",
        mend="run the stage again; what it committed is replaced, not doubled",
    )


def _clock(instant: datetime) -> str:
    return f"{instant.astimezone():%Y-%m-%d %H:%M:%S%z}"


__all__ = ["BETWEEN_STAGES", "hold", "release"]
