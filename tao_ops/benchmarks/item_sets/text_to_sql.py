"""``bird`` and ``spider``: questions over SQLite databases that lie beside them, one folder for each."""

import hashlib
import re
import sqlite3
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tao_ops.benchmarks.item_sets import reading
from tao_ops.benchmarks.item_sets.item import Row
from tao_ops.config import BenchmarkFormat
from tao_ops.errors import ConfigError

NAMES: Mapping[BenchmarkFormat, tuple[str, ...]] = {
    BenchmarkFormat.BIRD: ("dev.json", "mini_dev_sqlite.json"),
    BenchmarkFormat.SPIDER: ("dev.json",),
}
TEMPLATES: Mapping[BenchmarkFormat, str] = {
    BenchmarkFormat.BIRD: "$schema\n\n$evidence\n\n$question",
    BenchmarkFormat.SPIDER: "$schema\n\n$question",
}
_FOLDERS = {BenchmarkFormat.BIRD: "dev_databases", BenchmarkFormat.SPIDER: "database"}
_NEEDED = {
    BenchmarkFormat.BIRD: ("question_id", "db_id", "question", "SQL"),
    BenchmarkFormat.SPIDER: ("db_id", "question", "query"),
}
_SHAPE = "a JSON array of questions, as its authors have it"
_NAME = re.compile(r"\w[\w.-]{0,99}")
_BLOCK = 1 << 20


def rows(path: Path, raw: bytes, which: BenchmarkFormat) -> Iterator[Row]:
    """The questions, each with the schema of its database in the column ``schema``.

    Raises:
        ConfigError: a question lacks a column, or its database is missing, is none, or has no tables.
    """
    for number, (where, row) in enumerate(reading.json_array(path, raw, _SHAPE), start=1):
        reading.required(row, _NEEDED[which], where)
        database = database_file(path, which, row["db_id"], where)
        # Spider has no identifiers: a question's is its place.
        item_id = str(row["question_id"]) if which is BenchmarkFormat.BIRD else str(number)
        sql = row["SQL"] if which is BenchmarkFormat.BIRD else row["query"]
        if not isinstance(sql, str) or not sql.strip():
            raise ConfigError("the gold SQL is empty", where=where, mend="write it, or leave the question out")
        columns: dict[str, Any] = {**row, "evidence": row.get("evidence") or "", "schema": schema(database, where)}
        yield Row(where, item_id, columns, {"sql": sql, "db_id": row["db_id"]})


def database_file(questions: Path, which: BenchmarkFormat, db_id: Any, where: object = None) -> Path:
    """Where the database of a question lies, by the file of the questions.

    Raises:
        ConfigError: ``db_id`` is no name, or the file is not there.
    """
    if not isinstance(db_id, str) or not _NAME.fullmatch(db_id):
        raise ConfigError(f"{db_id!r} is no database's name", where=where, mend="mend the question's 'db_id'")
    path = questions.parent / _FOLDERS[which] / db_id / f"{db_id}.sqlite"
    if not path.is_file():
        raise ConfigError(f"the database {db_id!r} is missing", where=where, mend=f"put it at {path}")
    return path


def schema(database: Path, where: object = None) -> str:
    """The statements that made the tables of a database, in their order.

    Raises:
        ConfigError: it is no SQLite database, or has no tables.
    """
    told = database.stat()
    try:
        return _schema(database, told.st_size, told.st_mtime_ns)
    except sqlite3.Error as error:
        raise ConfigError(f"{database} cannot be read: {error}", where=where, mend="put the database there") from None
    except LookupError:
        raise ConfigError(f"{database} has no tables", where=where, mend="put the whole database there") from None


def digests(databases: Mapping[str, Path]) -> list[str]:
    """By name, the SHA-256 of each database; the files are read in blocks, and again only after a change.

    Raises:
        ConfigError: one cannot be read.
    """
    found = []
    for name, path in sorted(databases.items()):
        try:
            told = path.stat()
            found.append(f"{name} {_sha256(path, told.st_size, told.st_mtime_ns)}")
        except OSError as error:
            raise ConfigError(f"the database cannot be read: {error.strerror}", where=path) from None
    return found


@lru_cache(maxsize=1024)
def _sha256(path: Path, size: int, changed: int) -> str:
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            sha.update(block)
    return sha.hexdigest()


@lru_cache(maxsize=1024)
def _schema(database: Path, size: int, changed: int) -> str:
    # Immutable: nothing is written beside it, not even a lock.
    connection = sqlite3.connect(f"file:{quote(str(database.absolute()))}?mode=ro&immutable=1", uri=True)
    try:
        made = connection.execute(
            "SELECT sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY rowid"
        ).fetchall()
    finally:
        connection.close()
    if not made:
        raise LookupError
    return "\n\n".join(f"{sql.strip()};" for (sql,) in made)
