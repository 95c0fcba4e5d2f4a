"""Hostile or broken SQL ends within its limits, with a reason, and leaves the database and its folder as they were."""

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tao_ops.config import SqlConfig
from tao_ops.records import Candidate
from tao_ops.rewards import sql, sql_execution
from tao_ops.rewards.sql import NoResult, Result
from tao_ops.settings import PROJECT

ENDLESS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) "
JOIN = "SELECT count(*) FROM " + ", ".join(f"big AS t{i}" for i in range(8))
NOT_A_SELECT = [
    "INSERT INTO orders VALUES (9, 'x', 1.0)",
    "UPDATE orders SET city = 'x'",
    "DELETE FROM orders",
    "WITH a AS (SELECT 1) DELETE FROM orders",
    "DROP TABLE orders",
    "CREATE TABLE t (a int)",
    "CREATE TEMP TABLE t AS SELECT 1",
    "CREATE TABLE t AS SELECT * FROM orders",
    "ALTER TABLE orders ADD COLUMN x",
    "ATTACH 'other.sqlite' AS o",
    "DETACH main",
    "PRAGMA user_version = 7",
    "VACUUM INTO 'copy.sqlite'",
    "BEGIN",
    "EXPLAIN SELECT 1",
    "REPLACE INTO orders VALUES (1, 'x', 1.0)",
]
REFUSED = {
    "SELECT 1; SELECT 2": "several statements",
    "SELECT 1; DROP TABLE orders": "several statements",
    "SELECT load_extension('x')": "refused function",
    "SELECT * FROM pragma_table_info('orders')": "refused table function",
    "SELECT * FROM pragma_database_list": "refused table",
    "Here is the query you want": "does not parse",
    "Sure: ```sql\nSELECT 1\n```": "does not parse",
    "SELECT FROM WHERE": "does not parse",
    "": "no SQL",
    " ;; ": "no SQL",
    "```sql\n```": "no SQL",
    "SELECT 'a\0b'": "holds a NUL",
    "SELECT '\ud800'": "not Unicode",
    "SELECT 1 ORDER BY " + "9" * 5000: "does not parse",
    "SELECT " + "(" * 1000 + "1" + ")" * 1000: "nested too deep",
    "SELECT '" + "x" * 200_000 + "'": "too long",
}
DUCKDB_NOT_A_SELECT = [
    "COPY orders TO 'x.csv'",
    "COPY (SELECT 1) TO 'x.csv'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "EXPORT DATABASE 'x'",
    "SET threads = 4",
    "CALL pragma_version()",
    "DESCRIBE orders",
]
DUCKDB_FILES = {
    "SELECT * FROM 'orders.csv'": "reads a file",
    'SELECT * FROM "/etc/passwd"': "reads a file",
    "SELECT * FROM 'https://example.org/a.parquet'": "reads a file",
    "SELECT * FROM read_csv('/etc/passwd')": "refused table function",
    "SELECT * FROM read_parquet('a.parquet')": "refused table function",
    "SELECT * FROM read_text('/etc/passwd')": "refused table function",
    "SELECT * FROM read_json_auto('a.json')": "refused table function",
    "SELECT * FROM glob('/*')": "refused table function",
    "SELECT * FROM sqlite_scan('a', 'b')": "refused table function",
    "SELECT * FROM query('DROP TABLE orders')": "refused table function",
    "SELECT * FROM orders, LATERAL glob('/*')": "refused table function",
    "SELECT getenv('HOME')": "refused function",
    "SELECT * FROM pg_settings": "refused table",
    "SELECT * FROM pg_catalog.pg_tables": "refused table",
    'SELECT * FROM "Information_Schema".tables': "refused table",
    "SELECT * FROM (SHOW TABLES)": "not a SELECT",
    "SELECT * FROM (show orders) AS s": "not a SELECT",
    "SELECT * FROM (DESCRIBE orders)": "not a SELECT",
}
ROWS = [(1, "Oslo", 9.5), (2, "Rome", 9.5), (3, "Oslo", None)]


@pytest.fixture(scope="module", params=["sqlite", "duckdb"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("shop") / f"shop.{request.param}"
    if request.param == "sqlite":
        connection: object = sqlite3.connect(path)
    else:
        connection = pytest.importorskip("duckdb").connect(str(path))
    execute = connection.execute  # type: ignore[attr-defined]
    execute("CREATE TABLE orders (id INTEGER, city TEXT, price DOUBLE)")
    execute("CREATE TABLE big (n INTEGER)")
    execute("INSERT INTO orders VALUES (1, 'Oslo', 9.5), (2, 'Rome', 9.5), (3, 'Oslo', NULL)")
    execute("INSERT INTO big SELECT a.id FROM orders a, orders b, orders c, orders d, orders e, orders f, orders g")
    if request.param == "sqlite":
        connection.commit()  # type: ignore[attr-defined]
    connection.close()  # type: ignore[attr-defined]
    return path


def _content(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*"))}


@pytest.fixture(autouse=True)
def untouched(shop: Path) -> Iterator[None]:
    before = _content(shop.parent)
    yield
    assert _content(shop.parent) == before


def _config(shop: Path, seconds: float = 20.0, rows: int = 100, memory_mib: int = 64) -> SqlConfig:
    return SqlConfig(database=shop.name, seconds=seconds, rows=rows, memory_mib=memory_mib)


def _run(text: str, shop: Path, seconds: float = 20.0, rows: int = 100) -> Result | NoResult:
    return sql.run(text, path=shop, sql=_config(shop, seconds, rows))


def _score(text: str, shop: Path, seconds: float = 20.0) -> tuple[float | None, str]:
    one = sql_execution.score([Candidate("q", "", text)], sql=_config(shop, seconds), folder=shop.parent)[0]
    return one.value, one.reason


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM orders",
        "select * from orders;",
        "```sql\nSELECT *\nFROM orders;\n```",
        "```\nSELECT * FROM orders\n```\n",
        "``` SELECT * FROM orders ```",
        "SELECT * FROM orders -- all of them",
        "WITH a AS (SELECT * FROM orders) SELECT * FROM a",
        "SELECT * FROM orders UNION SELECT * FROM orders ORDER BY id",
        "VALUES (1, 'Oslo', 9.5), (2, 'Rome', 9.5), (3, 'Oslo', NULL)",
    ],
)
def test_one_select_runs(text: str, shop: Path) -> None:
    found = _run(text, shop)
    assert isinstance(found, Result) and sorted(found.rows) == ROWS
    assert _score(text, shop) == (1.0, "")


@pytest.mark.parametrize("text", NOT_A_SELECT)
def test_what_is_no_select_is_refused(text: str, shop: Path) -> None:
    value, reason = _score(text, shop)
    assert value == 0.0 and reason in ("not a SELECT", "does not parse")


@pytest.mark.parametrize("text", REFUSED)
def test_what_reaches_further_or_is_no_sql_is_refused(text: str, shop: Path) -> None:
    assert _score(text, shop) == (0.0, REFUSED[text])


@pytest.mark.parametrize("shop", ["duckdb"], indirect=True)
@pytest.mark.parametrize("text", [*DUCKDB_NOT_A_SELECT, *DUCKDB_FILES])
def test_duckdb_reads_no_file_and_loads_nothing(text: str, shop: Path) -> None:
    value, reason = _score(text, shop)
    assert value == 0.0 and reason in (DUCKDB_FILES.get(text, "not a SELECT"), "does not parse")


@pytest.mark.parametrize("text", ["SELECT town FROM orders", "SELECT * FROM sales", "SELECT no_such_function(1)"])
def test_what_the_database_does_not_know_scores_nothing(text: str, shop: Path) -> None:
    assert _score(text, shop) == (0.0, "the database refused it")


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        (JOIN, {"time limit", "memory limit"}),
        (ENDLESS + "SELECT count(*) FROM r", {"time limit", "memory limit"}),
        (ENDLESS + "SELECT n FROM r", {"row limit", "time limit", "memory limit"}),
        ("SELECT a.n FROM big a, big b", {"row limit"}),
        ("SELECT randomblob(1000000000)", {"memory limit", "the database refused it"}),
        ("SELECT hex(zeroblob(1000000000))", {"memory limit", "the database refused it"}),
        ("SELECT printf('%.*c', 1000000000, 'x')", {"time limit", "memory limit", "the database refused it"}),
        ("SELECT repeat('x', 1000000000)", {"time limit", "memory limit", "the database refused it"}),
        (
            "SELECT group_concat(c) FROM (SELECT 'x' || a.n || b.n || c.n AS c FROM big a, big b, big c)",
            {"time limit", "memory limit"},
        ),
        (
            "SELECT * FROM (SELECT a.n AS x, b.n AS y FROM big a, big b, big c) ORDER BY x, y",
            {"time limit", "memory limit"},
        ),
    ],
)
def test_a_limit_stops_what_would_not_end_and_decides_nothing(text: str, reasons: set[str], shop: Path) -> None:
    value, reason = _score(text, shop, seconds=0.5)
    assert reason in reasons
    assert value == (0.0 if reason == "the database refused it" else None)
    assert _score("SELECT 1", shop) == (1.0, "")  # the next query is answered as ever


@pytest.mark.parametrize("shop", ["duckdb"], indirect=True)
def test_a_databases_message_is_kept_short(shop: Path) -> None:
    found = _run("SELECT CAST(repeat('x', 1000000) AS INTEGER)", shop)
    assert isinstance(found, NoResult) and found.kind == "failed" and len(found.why) <= 1000


def test_json_nested_a_thousand_deep_ends(shop: Path) -> None:
    deep = "[" * 1000 + "]" * 1000
    assert _score(f"SELECT json_valid('{deep}')", shop)[0] is not None
    assert isinstance(_run(f"SELECT '{deep}'", shop), Result)


def test_rows_up_to_the_limit_are_taken(shop: Path) -> None:
    assert isinstance(_run("SELECT n FROM big LIMIT 100", shop), Result)
    assert _run("SELECT n FROM big LIMIT 101", shop) == NoResult("stopped", "row limit")


def test_odd_values_come_through(shop: Path) -> None:
    query = "SELECT NULL, 1 = 1, 'Zoë', CAST('1e308' AS DOUBLE PRECISION) * 10, 9007199254740993"
    if shop.suffix == ".duckdb":
        query = "SELECT NULL, true, 'Zoë', 'inf'::DOUBLE, 9007199254740993"
    assert _run(query, shop) == Result(((None, 1, "Zoë", float("inf"), 9007199254740993),))


def test_a_query_that_finds_nothing_gets_half(shop: Path) -> None:
    assert _score("SELECT * FROM orders WHERE id > 9", shop) == (0.5, "finds nothing")
    assert _score("SELECT sum(price) FROM orders WHERE id > 9", shop) == (0.5, "finds nothing")
    assert _score("SELECT count(*) FROM orders WHERE id > 9", shop) == (1.0, "")


def test_runs_of_rows_with_equal_keys_are_known_even_if_the_keys_are_not_shown(shop: Path) -> None:
    for query, groups in (
        ("SELECT id FROM orders WHERE price > 1 ORDER BY price", (2,)),
        ("SELECT city FROM orders ORDER BY city", (2, 1)),
        ("SELECT city AS c FROM orders ORDER BY CASE WHEN c = 'Oslo' THEN 1 ELSE 0 END", (1, 2)),
        ("SELECT * FROM orders ORDER BY city, id", (1, 1, 1)),
        ("SELECT DISTINCT city FROM orders ORDER BY 1", (1, 1)),
        ("SELECT city, count(*) FROM orders GROUP BY city ORDER BY count(*) DESC", (1, 1)),
    ):
        found = _run(query, shop)
        assert isinstance(found, Result) and found.groups == groups, query


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    counts = []
    for _ in range(2):
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS t (x)")
            connection.executemany("INSERT INTO t VALUES (?)", [("x" * 5000,)] * 3)
        connection.close()
        found = sql.run("SELECT count(*) FROM t", path=path, sql=SqlConfig(database="a.sqlite"))
        assert isinstance(found, Result)
        counts.append(found.rows)
    assert counts == [((3,),), ((6,),)]


def test_bytes_and_text_that_is_not_utf8_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a, b)")
        connection.execute("INSERT INTO t VALUES (x'00ff', CAST(x'61ff' AS TEXT))")
    connection.close()
    found = sql.run("SELECT * FROM t", path=path, sql=SqlConfig(database="a.db"))
    assert isinstance(found, Result) and found.rows == ((b"\x00\xff", "a\\xff"),)


def test_a_file_in_wal_mode_gets_no_file_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t AS SELECT 1 AS x")
    connection.close()
    assert [file.name for file in tmp_path.iterdir()] == ["a.sqlite"]
    found = sql.run("SELECT * FROM t", path=path, sql=SqlConfig(database="a.sqlite"))
    assert isinstance(found, Result) and [file.name for file in tmp_path.iterdir()] == ["a.sqlite"]


def test_a_file_in_wal_mode_is_not_read_past_a_later_write(tmp_path: Path) -> None:
    path, config = tmp_path / "a.sqlite", SqlConfig(database="a.sqlite")
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t AS SELECT 1 AS x")
    connection.close()
    assert isinstance(sql.run("SELECT x FROM t", path=path, sql=config), Result)
    writer = sqlite3.connect(path)
    writer.execute("UPDATE t SET x = 2")
    writer.commit()
    for query in ("SELECT x FROM t", "SELECT x + 0 FROM t"):
        assert getattr(sql.run(query, path=path, sql=config), "kind", None) == "unreadable"
    writer.close()
    assert sql.run("SELECT x FROM t", path=path, sql=config) == Result(((2,),))


def test_what_was_written_during_a_query_makes_it_unreadable(tmp_path: Path) -> None:
    path, config = tmp_path / "a.sqlite", SqlConfig(database="a.sqlite", seconds=5.0)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t AS SELECT 1 AS x")
    connection.close()
    sql.run("SELECT 1", path=path, sql=config)
    told: list[Result | NoResult] = []
    slow = ENDLESS + "SELECT max(n) FROM (SELECT n FROM r LIMIT 3000000)"
    asking = threading.Thread(target=lambda: told.append(sql.run(slow, path=path, sql=config)))
    asking.start()
    writer = sqlite3.connect(path)
    while asking.is_alive():
        writer.execute("UPDATE t SET x = x + 1")
        writer.commit()
        time.sleep(0.01)
    writer.close()
    (found,) = told
    assert isinstance(found, NoResult) and found.kind == "unreadable"
    # On a busy machine the first write may come before the query's own look at the file.
    assert found.why in {"it changed while it was read", "its last writes are still in the -wal file"}


def test_a_lock_that_passes_is_no_verdict(tmp_path: Path) -> None:
    path, config = tmp_path / "a.sqlite", SqlConfig(database="a.sqlite", seconds=0.5)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("CREATE TABLE t AS SELECT 1 AS x")
    writer.execute("BEGIN EXCLUSIVE")
    assert getattr(sql.run("SELECT x FROM t", path=path, sql=config), "kind", None) == "unreadable"
    writer.execute("ROLLBACK")
    writer.close()
    assert sql.run("SELECT x FROM t", path=path, sql=config) == Result(((1,),))


def test_a_process_that_died_is_asked_again(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    query = "SELECT 41 + 1"
    for one in sys.modules["tao_ops.rewards.sql.run"]._workers.values():
        one.end()
    with monkeypatch.context() as patch:
        patch.setattr(subprocess.Popen, "poll", lambda self: None)
        assert _run("SELECT 7", shop) == Result(((7,),))
        for one in sys.modules["tao_ops.rewards.sql.run"]._workers.values():
            if one._process is not None:
                one._process.kill()
                one._process.wait()
        assert _run(query, shop) == NoResult("ended", "the database's process died")
    assert _run(query, shop) == Result(((42,),))


@pytest.mark.parametrize("shop", ["duckdb"], indirect=True)
def test_an_idle_process_keeps_no_writer_of_duckdb_out(shop: Path) -> None:
    assert isinstance(_run("SELECT count(*) FROM orders", shop), Result)
    write = f"import duckdb; duckdb.connect({str(shop)!r}).execute('SELECT 1')"
    for _ in range(50):
        if not subprocess.run([sys.executable, "-c", write], stderr=subprocess.DEVNULL, check=False).returncode:
            return
        time.sleep(0.1)
    pytest.fail("the file is still locked")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_forked_during_a_query_asks_its_own_process(shop: Path) -> None:
    slow = threading.Thread(target=lambda: _run(ENDLESS + "SELECT count(*) FROM r", shop, seconds=1.0))
    _run("SELECT 1", shop)
    slow.start()
    time.sleep(0.2)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if _run("SELECT 2", shop) == Result(((2,),)) else 1)
    assert os.waitpid(child, 0)[1] == 0
    slow.join()


PARENT = """
import os, sys, time
from pathlib import Path
from tao_ops.config import SqlConfig
from tao_ops.rewards import sql
path = Path(sys.argv[1])
sql.run("SELECT 1", path=path, sql=SqlConfig(database=path.name))
worker = next(iter(sys.modules["tao_ops.rewards.sql.run"]._workers.values()))._process.pid
child = os.fork()
if child == 0:
    os.close(1)
    time.sleep(60)
    os._exit(0)
print(worker, child, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
def test_the_process_ends_with_its_parent_even_if_a_forked_child_lives_on(shop: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(shop)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker, child = map(int, parent.stdout.readline().split())
        parent.kill()
    try:
        for _ in range(100):
            if not _lives(worker):
                return
            time.sleep(0.1)
        pytest.fail("the worker lives on")
    finally:
        os.kill(child, signal.SIGKILL)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_results_that_are_remembered_are_bounded_in_bytes() -> None:
    known = sys.modules["tao_ops.rewards.sql.run"]._Known()
    for i in range(20):
        known.put(bytes([i]), Result((("x" * 20_000_000,),)))
    assert known.bytes < 256 * 1024 * 1024
    assert known.get(bytes([0])) is None and known.get(bytes([19])) is not None
    known.put(b"large", Result((("x" * 40_000_000,),)))
    assert known.get(b"large") is None and known.get(bytes([19])) is not None


def test_a_broken_file_decides_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    config = SqlConfig(database="a.sqlite")
    one = sql_execution.score([Candidate("q", "", "SELECT * FROM t")], sql=config, folder=tmp_path)[0]
    assert (one.value, one.reason) == (None, "the database cannot be read")
