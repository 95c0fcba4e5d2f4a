"""Opening a database so that a query can only read it, and running one query within its limits.

Only the worker process (``worker.py``) uses this; the limits of its memory and files stand behind these.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

_CHUNK = 256
_STEPS = 10_000
"""Steps of SQLite's machine between two looks at the clock: about a millisecond."""
_MIB = 1024 * 1024
_VALUE = 32
"""What a value takes in memory, in bytes, beside what it holds."""
_LOCK_S = 1.0
"""A writer's lock is waited for no longer than this, nor than half of a query's time limit."""
_DENIED = {"load_extension", "sqlite_log", "sqlite_compileoption_get", "sqlite_compileoption_used", "fts3_tokenizer"}
_DUCKDB: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
    "threads": "1",
    "lock_configuration": "true",
}


class Stopped(Exception):
    """A limit stopped the query; its text is which."""


class Failed(Exception):
    """The database did not take the query; its text is the database's."""


class Unreadable(Exception):
    """The file is no database that can be read."""


@dataclass(frozen=True)
class Limits:
    """What one query may take: seconds of wall time, rows of its result, MiB of memory."""

    seconds: float
    rows: int
    memory_mib: int

    @property
    def result_bytes(self) -> int:
        """Most bytes of all values of a result, as they are sent: the process that asks has to hold them, too."""
        return min(self.memory_mib, 1024) * _MIB // 16


class Database(Protocol):
    """A database that is open for reading."""

    def rows(self, query: str, limits: Limits, until: float) -> list[tuple[Any, ...]]:
        """The rows of a query; ``until`` is when to stop, by the monotonic clock.

        Raises:
            Stopped: it met a limit.
            Failed: the database did not take it.
        """
        ...

    def close(self) -> None:
        """Close the file."""
        ...


def open_database(path: Path, dialect: str, limits: Limits) -> Database:
    """Open the file, to be read only.

    Raises:
        Unreadable: it is no such database, or has unfinished writes that only a writer may bring in.
    """
    return DuckDB(path, limits) if dialect == "duckdb" else SQLite(path, limits)


class SQLite:
    """A SQLite file; nothing is created beside it, not even what a file in WAL mode would get."""

    def __init__(self, path: Path, limits: Limits) -> None:
        wait = min(_LOCK_S, limits.seconds / 2)
        try:
            self._connection = sqlite3.connect(_sqlite_uri(path), uri=True, isolation_level=None, timeout=wait)
            self._connection.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
            for pragma in ("trusted_schema=OFF", "query_only=ON", "temp_store=MEMORY", "cell_size_check=ON"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._connection.execute(f"PRAGMA hard_heap_limit={limits.memory_mib * _MIB}")
            self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            allowed = {name for (name,) in self._connection.execute("SELECT name FROM pragma_function_list")}
        except (sqlite3.Error, OSError) as error:
            raise Unreadable(str(error)) from None
        for limit, most in (
            (sqlite3.SQLITE_LIMIT_LENGTH, limits.result_bytes),
            (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
            (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000),
            (sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0),
        ):
            self._connection.setlimit(limit, most)
        self._connection.set_authorizer(_authorizer(allowed - _DENIED))

    def rows(self, query: str, limits: Limits, until: float) -> list[tuple[Any, ...]]:
        """See :class:`Database`."""
        self._connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
        try:
            return collect(self._connection.execute(query).fetchmany, limits, until)
        except sqlite3.Error as error:
            raise _sqlite_error(error) from None

    def close(self) -> None:
        """See :class:`Database`."""
        self._connection.close()


def _sqlite_uri(path: Path) -> str:
    """The address of the file; in WAL mode, where a reader would create files, it is read as one that can't change."""
    with path.open("rb") as file:
        header = file.read(20)
    if header[18:20] != b"\x02\x02":
        return f"{path.absolute().as_uri()}?mode=ro"
    beside = path.with_name(f"{path.name}-wal")
    if beside.exists() and beside.stat().st_size:
        raise sqlite3.OperationalError("its last writes are still in the -wal file")
    return f"{path.absolute().as_uri()}?mode=ro&immutable=1"


def _authorizer(functions: set[str]) -> Callable[..., int]:
    def allow(action: int, first: str | None, second: str | None, *_: object) -> int:
        if action == sqlite3.SQLITE_FUNCTION:
            return sqlite3.SQLITE_OK if (second or "").lower() in functions else sqlite3.SQLITE_DENY
        harmless = action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE)
        return sqlite3.SQLITE_OK if harmless else sqlite3.SQLITE_DENY

    return allow


def _sqlite_error(error: sqlite3.Error) -> Exception:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # the rest tells more of the same error
        case sqlite3.SQLITE_INTERRUPT:
            return Stopped("time limit")
        case sqlite3.SQLITE_NOMEM | sqlite3.SQLITE_TOOBIG | sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
            return Stopped("memory limit")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CANTOPEN:
            return Unreadable(str(error))
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_PROTOCOL | sqlite3.SQLITE_READONLY:  # a writer is at it, or died
            return Unreadable(str(error))
    return Failed(str(error))


class DuckDB:
    """A DuckDB file, without access to any other file, extension or address."""

    def __init__(self, path: Path, limits: Limits) -> None:
        import duckdb

        config = {**_DUCKDB, "memory_limit": f"{limits.memory_mib}MiB"}
        try:
            if path.with_name(f"{path.name}.wal").exists():
                raise Unreadable("its last writes are still in the .wal file")
            self._connection = duckdb.connect(str(path), read_only=True, config=config)
        except duckdb.Error as error:
            raise Unreadable(str(error)) from None

    def rows(self, query: str, limits: Limits, until: float) -> list[tuple[Any, ...]]:
        """See :class:`Database`."""
        import threading

        import duckdb

        clock = threading.Timer(max(0.0, until - time.monotonic()), self._connection.interrupt)
        clock.daemon = True
        clock.start()
        try:
            return collect(self._connection.execute(query).fetchmany, limits, until)
        except duckdb.InterruptException:
            raise Stopped("time limit") from None
        except duckdb.OutOfMemoryException:
            raise Stopped("memory limit") from None
        except (duckdb.IOException, duckdb.FatalException, duckdb.InternalException) as error:
            raise Unreadable(str(error)) from None
        except (duckdb.Error, RuntimeError, ValueError, OverflowError) as error:
            raise Failed(str(error)) from None
        finally:
            clock.cancel()
            clock.join()

    def close(self) -> None:
        """See :class:`Database`."""
        self._connection.close()


def collect(fetch: Callable[[int], list[tuple[Any, ...]]], limits: Limits, until: float) -> list[tuple[Any, ...]]:
    """All rows that ``fetch`` gives, piece by piece, within the limits.

    Raises:
        Stopped: there are more rows, more bytes, or no more time.
    """
    rows: list[tuple[Any, ...]] = []
    size = 0
    for chunk in _chunks(fetch):
        rows += chunk
        size += sum(_size(value) for row in chunk for value in row)
        if len(rows) > limits.rows:
            raise Stopped("row limit")
        if size > limits.result_bytes:
            raise Stopped("memory limit")
        if time.monotonic() > until:
            raise Stopped("time limit")
    return rows


def _chunks(fetch: Callable[[int], list[tuple[Any, ...]]]) -> Iterator[list[tuple[Any, ...]]]:
    while chunk := fetch(_CHUNK):
        yield chunk


def _size(value: Any) -> int:
    if isinstance(value, str):
        return _VALUE + len(json.dumps(value))
    if isinstance(value, bytes):
        return _VALUE + 2 * len(value)
    if isinstance(value, list | tuple | set):
        return _VALUE + sum(map(_size, value))
    if isinstance(value, dict):
        return _VALUE + sum(_size(key) + _size(one) for key, one in value.items())
    return _VALUE
