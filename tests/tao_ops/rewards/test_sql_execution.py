"""Scores of SQL with and without a reference; which database is asked; keys for the majority's vote."""

import doctest
import sqlite3
from pathlib import Path

import pytest

from tao_ops.config import SqlConfig
from tao_ops.errors import ConfigError
from tao_ops.records import Candidate
from tao_ops.rewards import sql, sql_execution
from tao_ops.rewards.sql import guard, references, results

SHOP = SqlConfig(database="shop.sqlite")
EVERY = SqlConfig(database="dbs/{database}.sqlite", named_by=r"\[db: ([^\]]*)\]")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dbs").mkdir()
    for path, city in ((tmp_path / "shop.sqlite", "Oslo"), (tmp_path / "dbs" / "one.sqlite", "Rome")):
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE orders (id INTEGER, city TEXT)")
            connection.executemany("INSERT INTO orders VALUES (?, ?)", [(1, city), (2, city), (3, "Bonn")])
        connection.close()
    return tmp_path


def _score(folder: Path, text: str, reference: str | None, **rules: bool) -> tuple[float | None, str]:
    batch = [Candidate("q", "", text, reference=reference)]
    one = sql_execution.score(batch, sql=SHOP, folder=folder, **rules)[0]
    return one.value, one.reason


@pytest.mark.parametrize("module", [guard, references, results, sql_execution])
def test_the_examples_in_docstrings_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def test_with_a_reference_the_result_decides(folder: Path) -> None:
    gold = "SELECT city, count(*) FROM orders GROUP BY city"
    assert _score(folder, "SELECT count(id) AS n, city FROM orders GROUP BY 2", gold) == (1.0, "")
    assert _score(folder, "SELECT city, max(id) FROM orders GROUP BY city", gold) == (0.0, "another result")
    assert _score(folder, "SELECT town FROM orders", gold) == (0.0, "the database refused it")
    assert _score(folder, "SELECT 1", "SELECT town FROM orders") == (None, "the reference does not run")


def test_a_limit_that_the_reference_keeps_makes_another_result(folder: Path) -> None:
    endless = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n FROM r"
    assert _score(folder, endless, "SELECT id FROM orders") == (0.0, "row limit")
    assert _score(folder, endless, endless) == (None, "row limit")
    assert _score(folder, endless, None) == (None, "row limit")


def test_any_accepted_query_is_right(folder: Path) -> None:
    gold = "SELECT {id, city} FROM orders WHERE id = 1; SELECT count(*) FROM orders"
    for text in ("SELECT 1", "SELECT 'Oslo'", "SELECT 'Oslo', 1", "SELECT 3"):
        assert _score(folder, text, gold)[0] == 1.0, text
    assert _score(folder, "SELECT 2", gold)[0] == 0.0


def test_rules_of_the_comparison_can_be_set(folder: Path) -> None:
    gold = "SELECT id FROM orders ORDER BY id"
    assert _score(folder, "SELECT id FROM orders ORDER BY id DESC", gold)[0] == 0.0
    assert _score(folder, "SELECT id FROM orders ORDER BY id DESC", gold, order=False)[0] == 1.0
    assert _score(folder, "SELECT * FROM orders ORDER BY id", gold)[0] == 1.0
    assert _score(folder, "SELECT * FROM orders ORDER BY id", gold, extra_columns=False)[0] == 0.0
    assert _score(folder, "SELECT DISTINCT city FROM orders", "SELECT city FROM orders")[0] == 0.0
    assert _score(folder, "SELECT DISTINCT city FROM orders", "SELECT city FROM orders", repeats=False)[0] == 1.0


def test_an_empty_reference_is_met_by_an_empty_result(folder: Path) -> None:
    assert _score(folder, "SELECT 1 WHERE 1 = 0", "SELECT id FROM orders WHERE id > 9") == (1.0, "")


def test_the_message_names_the_database(folder: Path) -> None:
    def score(message: str) -> tuple[float | None, str]:
        batch = [Candidate("q", message, "SELECT * FROM orders WHERE city = 'Rome'")]
        one = sql_execution.score(batch, sql=EVERY, folder=folder)[0]
        return one.value, one.reason

    assert score("[db: one] Which orders?") == (1.0, "")
    assert score("Which orders?") == (None, "no database is named")
    for name in ("two", "../shop", "one.sqlite", "/etc/passwd", "x/../one", "*", "", "one\0", "a" * 300, "語" * 100):
        assert score(f"[db: {name}] Which orders?")[0] is None


def test_a_name_that_takes_for_ever_to_find_is_given_up(folder: Path) -> None:
    every = SqlConfig(database="dbs/{database}.sqlite", named_by=r"db: ((?:\w+\s?)+)\.")
    one = sql_execution.score([Candidate("q", "db: " + "a" * 40 + "!", "SELECT 1")], sql=every, folder=folder)[0]
    assert (one.value, one.reason) == (None, "naming the database: time limit")


def test_the_files_are_checked_before_the_first_query(folder: Path) -> None:
    sql.check(SHOP, folder)
    sql.check(EVERY, folder)
    (folder / "text.sqlite").write_text("no database at all, though it has the name of one")
    for database, named_by, says in (
        ("none.sqlite", None, "cannot be read"),
        ("text.sqlite", None, "no database of that kind"),
        ("dbs", None, "no kind of database"),
        ("dbs/{database}.sqlite", None, "named_by"),
        ("shop.sqlite", "(x)", "named_by"),
        ("none/{database}.sqlite", "(x)", "no such database"),
        ("{database}/shop.sqlite", "(x)", "folder's name"),
    ):
        with pytest.raises(ConfigError, match=says):
            sql.check(SqlConfig(database=database, named_by=named_by), folder)


def test_a_database_with_unfinished_writes_is_refused(folder: Path) -> None:
    connection = sqlite3.connect(folder / "shop.sqlite")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("INSERT INTO orders VALUES (4, 'Oslo')")
    connection.commit()
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(ConfigError, match="unfinished writes"):
        sql.check(SHOP, folder)
    assert _score(folder, "SELECT id FROM orders", None) == (None, "the database cannot be read")
    assert sorted(path.name for path in folder.iterdir()) == before
    connection.close()


def _keys(folder: Path, *texts: str, votes: bool = True) -> list[str | None]:
    batch = [Candidate("q", "", text, votes=votes) for text in texts]
    return sql.result_keys(batch, sql=SHOP, folder=folder)


def test_the_same_answer_has_the_same_key(folder: Path) -> None:
    one, same, other, broken = _keys(
        folder,
        "SELECT city, count(*) FROM orders GROUP BY city",
        "```sql\nSELECT count(*) AS n, o.city FROM orders AS o GROUP BY o.city;\n```",
        "SELECT city, max(id) FROM orders GROUP BY city",
        "SELECT town FROM orders",
    )
    assert one == same != other and one is not None and broken is None


def test_order_counts_where_most_candidates_ask_for_one(folder: Path) -> None:
    up, down, none = (f"SELECT id FROM orders{end}" for end in (" ORDER BY id", " ORDER BY id DESC", ""))
    keys = _keys(folder, up, up, down, none)
    assert keys[0] == keys[1] == keys[3] != keys[2]
    keys = _keys(folder, up, none, none, down)
    assert len(set(keys)) == 1


def test_what_gives_another_result_each_time_has_no_key(folder: Path) -> None:
    assert _keys(folder, "SELECT id FROM orders ORDER BY random() LIMIT 1") == [None]
    for now in ("date('now')", "datetime()", "strftime('%s')", "current_timestamp", "CURRENT_DATE"):
        assert _keys(folder, f"SELECT {now}, id FROM orders") == [None], now
    for then in ("date('2024-01-01')", "strftime('%Y', city)", "julianday(id)"):
        assert _keys(folder, f"SELECT {then}, id FROM orders") != [None], then
    for now in ("now()", "txid_current()", "current_timestamp", "today()", "get_current_time()", "age(d)", "uuid()"):
        read = guard.read(f"SELECT {now} FROM t", "duckdb")
        assert isinstance(read, guard.Select) and not read.repeatable, now


def test_results_that_tell_nothing_do_not_agree_with_each_other(folder: Path) -> None:
    keys = _keys(folder, *("SELECT id FROM orders WHERE id > 9", "SELECT sum(id) FROM orders WHERE id > 9") * 2)
    assert None not in keys and len(set(keys)) == 4
