"""Which file a query runs on."""

import re
from pathlib import Path

from tao_ops.config import SqlConfig
from tao_ops.errors import ConfigError
from tao_ops.rewards.limits import LimitError, limited

_DIALECTS = {".sqlite": "sqlite", ".sqlite3": "sqlite", ".db": "sqlite", ".duckdb": "duckdb"}
_PLACE = "{database}"
_NAME = re.compile(r"\w[\w-]{0,99}")
_SECONDS = 0.5
"""Of processor time for finding a name: the pattern, or the message, may be one that takes for ever."""


def dialect_of(path: Path) -> str | None:
    """``sqlite`` or ``duckdb``, by the file's suffix; None for any other."""
    return _DIALECTS.get(path.suffix.lower())


def locate(sql: SqlConfig, folder: Path, message: str) -> Path | str:
    """The database file for a user's message; or why there is none."""
    if _PLACE not in sql.database:
        return folder / sql.database
    try:
        name = limited(_named, sql.named_by or r"(?!)", message, seconds=_SECONDS)
    except LimitError as error:
        return f"naming the database: {error}"
    if not name:
        return "no database is named"
    if not _NAME.fullmatch(name):
        return "no database of that name"  # a path's parts among them: nothing outside the template's folder is opened
    path = folder / sql.database.replace(_PLACE, name)
    try:
        return path if path.is_file() else "no database of that name"
    except OSError:  # a name that is too long for a file
        return "no database of that name"


def _named(pattern: str, message: str) -> str | None:
    found = re.search(pattern, message)
    return found[1] if found else None


def check(sql: SqlConfig, folder: Path) -> None:
    """See that the files are there and are databases, before the first query.

    Raises:
        ConfigError: a file is missing, cannot be read, or is no database; or the template lacks a part.
    """
    where = folder / sql.database
    if (_PLACE in sql.database) != (sql.named_by is not None):
        raise ConfigError(
            "'database' has {database} where, and only where, there is 'named_by'", where=where, mend="give both"
        )
    if dialect_of(where) is None:
        raise ConfigError("no kind of database that is known", where=where, mend=f"name it {', '.join(_DIALECTS)}")
    files = [where]
    if _PLACE in sql.database:
        pattern = Path(sql.database)
        if _PLACE in str(pattern.parent):
            raise ConfigError("{database} stands in a folder's name", where=where, mend="put it into the file's name")
        files = sorted((folder / pattern.parent).glob(pattern.name.replace(_PLACE, "*")))
        if not files:
            raise ConfigError("there is no such database", where=where, mend="put the files there")
    for file in files:
        _check(file)


def _check(path: Path) -> None:
    mend = "'database' names a SQLite or DuckDB file below include/"
    try:
        with path.open("rb") as file:
            start = file.read(20)
        unfinished = any(
            beside.exists() and beside.stat().st_size > 0
            for suffix in ("-wal", "-journal", ".wal")
            if (beside := path.with_name(path.name + suffix))
        )
    except OSError as error:
        raise ConfigError(f"the database cannot be read: {error.strerror}", where=path, mend=mend) from None
    known = start.startswith(b"SQLite format 3\0") if dialect_of(path) == "sqlite" else start[8:12] == b"DUCK"
    if not known:
        raise ConfigError("the file is no database of that kind", where=path, mend=mend)
    if unfinished:
        raise ConfigError(
            "the database has unfinished writes, and reading it would change it",
            where=path,
            mend="let its writer finish and make a checkpoint, or name a copy",
        )
