"""The second line of defence: what would pass the reading of a query changes and reads nothing all the same."""

import hashlib
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tao_ops.rewards.sql.engines import Limits, Stopped, collect
from tao_ops.settings import PROJECT

RUN = """
import json, sys, time
from pathlib import Path
from tao_ops.rewards.sql.engines import Limits, open_database
path, dialect, queries = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
limits = Limits(5.0, 100, 64)
database, told = open_database(path, dialect, limits), []
for query in queries:
    try:
        told.append(database.rows(query, limits, time.monotonic() + 5.0))
    except Exception as error:
        told.append(type(error).__name__)
print(json.dumps(told))
"""
WRITES = [
    "INSERT INTO t VALUES (2)",
    "UPDATE t SET x = 2",
    "DELETE FROM t",
    "DROP TABLE t",
    "CREATE TABLE u (x INTEGER)",
]
SQLITE = [
    *WRITES,
    "CREATE TEMP TABLE u (x)",
    "ATTACH ':memory:' AS o",
    "PRAGMA user_version = 7",
    "PRAGMA table_info(t)",
    "SELECT * FROM pragma_table_info('t')",
    "SELECT load_extension('x')",
    "VACUUM INTO 'copy.sqlite'",
    "CREATE VIRTUAL TABLE f USING fts5(x)",
    "ANALYZE",
]
DUCKDB = [
    *WRITES,
    "ATTACH 'other.duckdb' AS o",
    "COPY t TO 'x.csv'",
    "EXPORT DATABASE 'x'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM queries",  # a variable of the process
]


def _content(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*"))}


def _tell(path: Path, queries: list[str]) -> list[object]:
    command = [sys.executable, "-c", RUN, str(path), path.suffix[1:], json.dumps([*queries, "SELECT x FROM t"])]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True, timeout=120)
    told: list[object] = json.loads(done.stdout)
    return told


def test_sqlite_denies_all_but_reading(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS x")
    connection.close()
    before = _content(tmp_path)
    assert _tell(path, SQLITE) == ["Failed"] * len(SQLITE) + [[[1]]]
    assert _content(tmp_path) == before


def test_duckdb_denies_all_but_reading(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "a.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS x")
    before = _content(tmp_path)
    *denied, rows = _tell(path, DUCKDB)
    assert set(denied) <= {"Failed", "Unreadable"} and rows == [[1]]
    assert _content(tmp_path) == before


def test_a_result_is_as_large_as_what_is_sent_of_it() -> None:
    limits = Limits(5.0, 100, 16)
    for value in ("x" * 900_000, "\N{GRINNING FACE}" * 80_000, b"x" * 500_000):
        sent = [iter(([(value,)], []))]
        assert collect(lambda _, sent=sent: next(sent[0]), limits, float("inf")) == [(value,)]
        with pytest.raises(Stopped, match="memory limit"):
            collect(lambda _, value=value: [(value + value,)], limits, float("inf"))
    assert Limits(5.0, 100, 65_536).result_bytes == Limits(5.0, 100, 1024).result_bytes
