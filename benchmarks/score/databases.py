"""Generated SQL on a database: run and compared, beside a connection of one's own."""

import itertools
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.score.contests import Contest
from tao_ops.config import SqlConfig
from tao_ops.records import Candidate
from tao_ops.rewards import sql, sql_execution
from trials.sql_rewards import questions, sampling

QUERIES, ORDERS = 150, 10_000
_NOTE = (
    "with result_keys; ours reads the syntax tree first, then runs the query in a process of its own with limits of "
    "time, rows and memory, and brings its rows back"
)
_SHAPES = (
    "SELECT city, COUNT(*) FROM orders WHERE price > {} GROUP BY city ORDER BY 2 DESC",
    "SELECT id, price FROM orders WHERE price < {} ORDER BY price LIMIT 20",
    "SELECT AVG(price) FROM orders WHERE id % 50 = {}",
)
Asked = Sequence[tuple[Candidate, Callable[[str], Any]]]
"""Each response with what runs a query on its database."""


def contests(scratch: Path) -> Iterator[Contest]:
    """Defog's questions where they are there, else a shop's; and the shop's on DuckDB."""
    known = questions.load() if questions.DATA.is_dir() else []
    if known:
        asked, sampled = [], sampling.sampled(known) if sampling.PATH.is_file() else {}
        opened = {one.database: questions.open_database(one) for one in known}
        for one in known:
            run = opened[one.database].execute
            asked += [(one.candidate(text), run) for text in (*one.golds, *sampled.get(one.number, []))]
        yield from _contests("Defog", asked, questions.LIMITS, questions.DATA, "sqlite3")
    else:
        yield from _shop(scratch, "sqlite3", "orders.sqlite", _sqlite(scratch / "orders.sqlite"))
    yield from _shop(scratch, "duckdb", "orders.duckdb", _duckdb(scratch / "orders.duckdb"))


def _contests(what: str, asked: Asked, limits: SqlConfig, folder: Path, engine: str) -> Iterator[Contest]:
    """Beside the engine alone, and beside the engine with the parser that a guard by hand needs, too."""
    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of what it does not know
    batch, runs = [candidate for candidate, _ in asked], itertools.count(1)

    def ours(_: int) -> list[object]:
        # Another limit makes other runs: without it, every repeat but the first would find all results remembered.
        config = limits.model_copy(update={"seconds": limits.seconds + next(runs) / 1000})
        scores = sql_execution.score(batch, sql=config, folder=folder)
        return list(zip(scores, sql.result_keys(batch, sql=config, folder=folder), strict=True))

    peers = {engine: _rows, f"sqlglot.parse + {engine}": _parsed_rows}
    for name, by_hand in peers.items():

        def peer(_: int, by_hand: Callable[..., object] = by_hand) -> list[object]:
            return [_tried(by_hand, run, one.text, engine.removesuffix("3")) for one, run in asked]

        yield Contest(f"sql_execution, {what}; {name}", ours, peer, name, _NOTE)


def _rows(run: Callable[[str], Any], text: str, dialect: str) -> object:
    return run(text).fetchall()


def _parsed_rows(run: Callable[[str], Any], text: str, dialect: str) -> object:
    import sqlglot

    return sqlglot.parse(text, dialect=dialect) and _rows(run, text, dialect)


def _tried(function: Callable[..., object], *arguments: object) -> object:
    try:
        return function(*arguments)
    except Exception:  # of whatever kind an engine raises: a response may be anything
        return None


def _shop(scratch: Path, engine: str, file: str, run: Callable[[str], Any]) -> Iterator[Contest]:
    texts = [_SHAPES[number % len(_SHAPES)].format(number) for number in range(QUERIES)]
    asked = [(Candidate(str(number // 3), "", text), run) for number, text in enumerate(texts)]
    return _contests(file, asked, SqlConfig(database=file), scratch, engine)


def _sqlite(path: Path) -> Callable[[str], Any]:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE orders (id INTEGER, city TEXT, price REAL)")
        database.executemany("INSERT INTO orders VALUES (?, ?, ?)", _orders())
    database.close()
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True).execute


def _duckdb(path: Path) -> Callable[[str], Any]:
    import duckdb

    with duckdb.connect(str(path)) as database:
        database.execute("CREATE TABLE orders (id INTEGER, city VARCHAR, price DOUBLE)")
        rows = f"SELECT i, ['Oslo', 'Rome', 'Bonn'][i % 3 + 1], (i * 37 % 1000) / 2.0 FROM range({ORDERS}) t(i)"
        database.execute(f"INSERT INTO orders {rows}")
    return duckdb.connect(str(path), read_only=True).execute


def _orders() -> Iterator[tuple[int, str, float]]:
    return ((i, ("Oslo", "Rome", "Bonn")[i % 3], (i * 37 % 1000) / 2.0) for i in range(ORDERS))
