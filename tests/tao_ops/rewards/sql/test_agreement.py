"""Agreement on results parts right queries from wrong ones where half of a query's candidates are right."""

import random
import sqlite3
from pathlib import Path

import pytest

from tao_ops.config import ConsensusConfig, SqlConfig
from tao_ops.records import Candidate
from tao_ops.rewards import consensus, sql, sql_execution
from trials.sql_rewards import mutations

SQL = SqlConfig(database="shop.sqlite")
GOLDS = (
    "SELECT city, COUNT(*) AS n FROM orders WHERE price > 20 GROUP BY city ORDER BY n DESC, city",
    "SELECT c.name, SUM(o.price) FROM customers AS c JOIN orders AS o ON o.customer = c.id "
    "WHERE o.city = 'Oslo' GROUP BY c.name",
    "SELECT AVG(price) FROM orders WHERE city = 'Rome' AND price < 90",
    "SELECT name FROM customers WHERE id IN (SELECT customer FROM orders WHERE price > 60)",
    "SELECT id, price FROM orders ORDER BY price DESC LIMIT 3",
)
SCHEMA = {"orders": ["id", "customer", "city", "price"], "customers": ["id", "name", "country"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("agreement")
    rng = random.Random(0)
    with sqlite3.connect(folder / "shop.sqlite") as shop:
        shop.execute("CREATE TABLE orders (id INTEGER, customer INTEGER, city TEXT, price REAL)")
        shop.execute("CREATE TABLE customers (id INTEGER, name TEXT, country TEXT)")
        rows = [(i, rng.randint(1, 6), rng.choice(("Oslo", "Rome", "Bonn")), 7.5 * i) for i in range(1, 15)]
        shop.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)
        shop.executemany(
            "INSERT INTO customers VALUES (?, ?, ?)",
            [(i + 1, name, name[:1]) for i, name in enumerate(("Ada", "Bo", "Cy", "Di", "Ed", "Flo"))],
        )
    shop.close()
    return folder


def _is_right(folder: Path, text: str, gold: str) -> bool | None:
    candidate = Candidate("q", "", text, reference=gold)
    value = sql_execution.score([candidate], sql=SQL, folder=folder)[0].value
    return None if value is None else value == 1.0


def _rewards(folder: Path, batch: list[Candidate]) -> list[float]:
    runs = [one.value or 0.0 for one in sql_execution.score(batch, sql=SQL, folder=folder)]
    keys = sql.result_keys(batch, sql=SQL, folder=folder)
    config = ConsensusConfig(kind="consensus", name="consensus", answer="sql", sql=SQL)
    answers = [None if key is None else {"": key} for key in keys]
    agree = consensus.score(batch, config=config, answers=answers, trust=runs)
    return [run * (one.value or 0.0) for run, one in zip(runs, agree, strict=True)]


@pytest.mark.parametrize("gold", GOLDS)
def test_rewritings_of_a_query_have_its_result_and_key(gold: str, folder: Path) -> None:
    texts = [gold, *mutations.equal(gold, random.Random(1))]
    assert len(texts) > 1
    assert all(_is_right(folder, text, gold) for text in texts)
    keys = sql.result_keys([Candidate("q", "", text) for text in texts], sql=SQL, folder=folder)
    assert len(set(keys)) == 1 and keys[0] is not None


def test_where_four_of_eight_are_right_they_have_the_higher_reward(folder: Path) -> None:
    rng = random.Random(2)
    batch, right = [], []
    for i, gold in enumerate(GOLDS):
        mistakes = [text for texts in mutations.wrong(gold, SCHEMA).values() for text in texts]
        wrong = [text for text in rng.sample(mistakes, len(mistakes)) if _is_right(folder, text, gold) is False][:4]
        same = [gold, *mutations.equal(gold, rng)]
        for text in [*(same * 4)[:4], *wrong]:
            batch.append(Candidate(f"q{i}", "", text))
            right.append(text in same)
    rewards = _rewards(folder, batch)
    pairs = [
        (good > bad) + 0.5 * (good == bad)
        for one, good, is_good in zip(batch, rewards, right, strict=True)
        for other, bad, other_good in zip(batch, rewards, right, strict=True)
        if one.query_id == other.query_id and is_good and not other_good
    ]
    assert len(pairs) == len(GOLDS) * 16
    assert sum(pairs) / len(pairs) >= 0.9
