"""The process that runs queries: its own limits, one query after another, and nothing else.

``run.py`` starts it, sends one JSON object a line and reads one back. It ends when its input does, or its parent: a
process that was forked from the parent may hold the input open.
"""

import datetime
import decimal
import json
import math
import os
import resource
import select
import time
from pathlib import Path
from typing import Any

from tao_ops.rewards.sql.engines import Database, Failed, Limits, Stopped, Unreadable, open_database
from tao_ops.rewards.sql.guard import Select, read

_MIB = 1024 * 1024
_ROOM_MIB = {"sqlite": 128, "duckdb": 1024}
"""Address space beyond a query's memory, for what the engine and the rows on their way take."""
_IDLE_S = 1.0
"""Without a query for so long, the database is closed: an open one keeps the writers of a DuckDB file out."""
_LONGEST_ERROR = 1000
"""In characters: a database's message may hold a value, which may be large."""
_SPARE_S = 5.0
"""Seconds of processor time beyond a query's time limit, after which the kernel ends the process."""


def main(dialect: str, memory_mib: int, parent: int) -> None:
    """Answer queries until the input ends, or the process ``parent``."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    read("SELECT 1", dialect)  # imports are no part of a query's time
    if dialect == "duckdb":
        import duckdb  # noqa: F401
    _limit(memory_mib + _ROOM_MIB[dialect])
    session = Session(dialect, memory_mib)
    _send(replies, {"ready": True})
    waiting = select.poll()
    waiting.register(requests, select.POLLIN)
    while os.getppid() == parent:
        if not waiting.poll(_IDLE_S * 1000):
            session.close()
        elif line := requests.readline():
            _send(replies, session.answer(json.loads(line)))
        else:
            return


def _limit(mib: int) -> None:
    """No file may grow, no core be written, and memory may grow by ``mib`` from here."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if _linux() else 0
    for what, most in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        *([(resource.RLIMIT_AS, used + mib * _MIB)] if used else []),
    ):
        resource.setrlimit(what, (most, most))


def _linux() -> bool:
    return Path("/proc/self/statm").exists()


def _limit_time(seconds: float) -> None:
    """The kernel ends this process where it is still at it long after its time, even if nobody waits for it."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    most = math.ceil(usage.ru_utime + usage.ru_stime + seconds + _SPARE_S)
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _send(replies: Any, reply: dict[str, Any]) -> None:
    replies.write(json.dumps(reply, separators=(",", ":")).encode() + b"\n")
    replies.flush()


class Session:
    """Answers queries; the database that was asked last stays open."""

    def __init__(self, dialect: str, memory_mib: int) -> None:
        self._dialect, self._memory_mib = dialect, memory_mib
        self._open: tuple[Any, Database] | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to one request: ``rows`` and what is known of them, or ``error`` with its ``kind``."""
        limits = Limits(request["seconds"], request["rows"], self._memory_mib)
        until = time.monotonic() + limits.seconds
        _limit_time(limits.seconds)
        try:
            found = read(request["query"], self._dialect)
            if isinstance(found, str):
                return {"kind": "refused", "error": found}
            return self._run(self._database(request["path"], request["stamp"], limits), found, limits, until)
        except Unreadable as error:
            self.close()
            return {"kind": "unreadable", "error": str(error)}
        except Stopped as error:
            return {"kind": "stopped", "error": str(error)}
        except (Failed, RecursionError) as error:
            return {"kind": "failed", "error": str(error)[:_LONGEST_ERROR]}
        except MemoryError:
            self.close()
            return {"kind": "stopped", "error": "memory limit"}

    def _database(self, path: str, stamp: Any, limits: Limits) -> Database:
        asked = (path, stamp, limits)
        if self._open is None or self._open[0] != asked:
            self.close()
            self._open = asked, open_database(Path(path), self._dialect, limits)
        return self._open[1]

    def close(self) -> None:
        """Close the database, if one is open; the next query opens it again."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _run(self, database: Database, select: Select, limits: Limits, until: float) -> dict[str, Any]:
        rows = [tuple(map(_plain, row)) for row in database.rows(select.text, limits, until)]
        return {
            "rows": rows,
            "groups": self._groups(database, select, rows, limits, until),
            "distinct": select.distinct,
            "repeatable": select.repeatable,
        }

    def _groups(
        self, database: Database, select: Select, rows: list[tuple[Any, ...]], limits: Limits, until: float
    ) -> list[int] | None:
        """How many rows in a row have the same keys of the ORDER BY; None without one."""
        if select.keys is None:
            return None
        singles = [1] * len(rows)
        if not select.keys or len(rows) < 2:
            return singles
        keyed = rows
        if select.extra:
            try:
                keyed = [tuple(map(_plain, row)) for row in database.rows(select.keyed, limits, until)]
            except (Failed, Stopped):
                return singles
            # the keys are believed only where the query with them gives the very rows of the one without
            if json.dumps([row[: -select.extra] for row in keyed]) != json.dumps(rows):
                return singles
        groups: list[int] = []
        before: str | None = None
        for row in keyed:
            keys = json.dumps([row[place] for place in select.keys])
            if keys == before:
                groups[-1] += 1
            else:
                groups.append(1)
            before = keys
        return groups


def _plain(value: Any) -> Any:
    """A value as JSON has it: null, a number, a text, or ``{"b": hex}`` for bytes."""
    if value is None or isinstance(value, str | float):
        return value
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, decimal.Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return {"b": bytes(value).hex()}
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return json.dumps([_plain(one) for one in value])
    if isinstance(value, dict):
        return json.dumps({str(key): _plain(one) for key, one in value.items()}, sort_keys=True)
    return str(value)
