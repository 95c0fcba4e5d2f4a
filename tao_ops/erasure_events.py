"""Who erased what, when and why. Of whom is told by a hash, as the table ``erasures`` has it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tao_ops.database import connect, ensure_schema
from tao_ops.erasure_plan import Subject

_SCHEMA = """
create table if not exists erasure_events (
    id bigint generated always as identity primary key,
    flywheel text not null, user_hash text, query_id text,
    who text not null, why text not null, begun_at timestamptz not null default now(),
    ended_at timestamptz, rows bigint
);
"""


@dataclass(frozen=True)
class ErasureEvent:
    """One run of an erasure.

    Attributes:
        ended_at: None of one that failed or was killed: another run has finished it, or should.
        rows: that it removed from the tables, and from beside candidates.
    """

    flywheel: str
    user_hash: str | None
    query_id: str | None
    who: str
    why: str
    begun_at: datetime
    ended_at: datetime | None
    rows: int | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        times = {name: at and at.isoformat() for name, at in (("begun_at", self.begun_at), ("ended_at", self.ended_at))}
        return {**self.__dict__, **times}


def begin(url: str, flywheel: str, subject: Subject, *, who: str, why: str) -> int:
    """Write down that an erasure begins; returns its number.

    Raises:
        RegistryError: the database cannot be reached.
    """
    with connect(url) as connection:
        ensure_schema(connection, _SCHEMA)
        made = connection.execute(
            "insert into erasure_events (flywheel, user_hash, query_id, who, why) values (%s, %s, %s, %s, %s) "
            "returning id",
            [flywheel, subject.user_hash, subject.query_id, who, why],
        ).fetchone()
        assert made is not None
        return int(made["id"])


def end(url: str, number: int, rows: int) -> None:
    """Write down that it ended, and how many rows it removed.

    Raises:
        RegistryError: the database cannot be reached.
    """
    with connect(url) as connection:
        connection.execute("update erasure_events set ended_at = now(), rows = %s where id = %s", [rows, number])


def events(url: str, flywheel: str) -> list[ErasureEvent]:
    """All of a flywheel's, oldest first.

    Raises:
        RegistryError: the database cannot be reached.
    """
    columns = ", ".join(ErasureEvent.__dataclass_fields__)
    with connect(url) as connection:
        ensure_schema(connection, _SCHEMA)
        statement = f"select {columns} from erasure_events where flywheel = %s order by id"
        return [ErasureEvent(**row) for row in connection.execute(statement.encode(), [flywheel])]
