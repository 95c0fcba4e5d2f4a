"""The layouts of public benchmarks: small files of our own in them, and the real files where they are."""

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tao_ops.benchmarks.item_sets import ItemSet, load_items
from tao_ops.config import BenchmarkConfig
from tao_ops.errors import ConfigError
from tao_ops.settings import PROJECT

DATA = Path(os.environ.get("TAO_DATA", PROJECT / ".." / "shared" / "data"))
FINANCE = {
    "financebench_id": "financebench_id_00001",
    "company": "Acme",
    "doc_name": "ACME_2018_10K",
    "question_type": "metrics-generated",
    "question": "What was the capital expenditure in 2018, in millions?",
    "answer": "$1,577.00",
    "evidence": [
        {"evidence_text": "Capital expenditures: 1,577", "doc_name": "ACME_2018_10K", "evidence_page_num": 59}
    ],
}
TATQA = {
    "table": {"uid": "t1", "table": [["", "2019"], ["Total", "$1,496.5"]]},
    "paragraphs": [{"uid": "p1", "order": 1, "text": "In millions."}],
    "questions": [
        {"uid": "q1", "question": "The total?", "answer": ["$1,496.5"], "answer_type": "span", "scale": "million"},
        {"uid": "q2", "question": "The rise?", "answer": 12.5, "answer_type": "arithmetic", "scale": "percent"},
        {"uid": "q3", "question": "Why?", "answer": ["It was cold."], "answer_type": "span", "scale": ""},
        {"uid": "q4", "question": "Which?", "answer": ["1", "2"], "answer_type": "multi-span", "scale": ""},
    ],
}


def _load(path: Path, which: str, **more: Any) -> ItemSet:
    return load_items(BenchmarkConfig(name="exam", path=str(path), format=which, **more), Path)


def _bird(folder: Path, *rows: dict[str, Any], name: str = "dev.json") -> Path:
    place = folder / "dev_databases" / "shop"
    place.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(place / "shop.sqlite") as shop:
        shop.executescript(
            "DROP TABLE IF EXISTS orders; CREATE TABLE orders (id INTEGER, city TEXT);"
            "INSERT INTO orders VALUES (1, 'Oslo')"
        )
    shop.close()
    told = {
        "question_id": 0,
        "db_id": "shop",
        "question": "Which cities?",
        "evidence": "city is a town",
        "SQL": "SELECT city FROM orders",
        "difficulty": "simple",
    }
    (folder / name).write_text(json.dumps([{**told, **row} for row in rows or ({},)]), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["dev.json", "mini_dev_sqlite.json"])
def test_bird_asks_with_the_schema_and_the_evidence(tmp_path: Path, name: str) -> None:
    rows = ({}, {"question_id": 1, "evidence": "", "difficulty": "moderate"})
    items = _load(_bird(tmp_path, *rows, name=name), "bird", slices=("difficulty", "db_id")).items
    schema = "CREATE TABLE orders (id INTEGER, city TEXT);"
    assert items[0].messages[-1]["content"] == f"{schema}\n\ncity is a town\n\nWhich cities?"
    assert items[1].messages[-1]["content"] == f"{schema}\n\nWhich cities?"
    assert [item.item_id for item in items] == ["0", "1"]
    assert items[1].slices == {"difficulty": "moderate", "db_id": "shop"}
    assert items[0].reference["sql"] == "SELECT city FROM orders" and items[0].question == "Which cities?"


def test_a_changed_database_is_another_benchmark(tmp_path: Path) -> None:
    before = _load(_bird(tmp_path), "bird").version
    assert _load(tmp_path, "bird").version == before
    with sqlite3.connect(tmp_path / "dev_databases" / "shop" / "shop.sqlite") as shop:
        shop.execute("INSERT INTO orders VALUES (2, 'Rome')")
    shop.close()
    assert _load(tmp_path, "bird").version != before


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"db_id": "other"}, r"the database 'other' is missing.*entry 1.*other\.sqlite"),
        ({"db_id": "../shop"}, "no database's name"),
        ({"SQL": None}, "an item without 'SQL'"),
        ({"SQL": " "}, "gold SQL is empty"),
        ({"question": None}, "an item without 'question'"),
    ],
)
def test_a_wrong_question_of_bird_is_named(tmp_path: Path, row: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        _load(_bird(tmp_path, row), "bird")


def test_what_is_no_database_is_named(tmp_path: Path) -> None:
    path = _bird(tmp_path) / "dev_databases" / "shop" / "shop.sqlite"
    path.write_bytes(b"a text")
    with pytest.raises(ConfigError, match=r"shop\.sqlite cannot be read.*entry 1"):
        _load(tmp_path, "bird")
    path.write_bytes(b"")
    with pytest.raises(ConfigError, match=r"shop\.sqlite has no tables"):
        _load(tmp_path, "bird")


def test_a_broken_array_is_named_with_its_line(tmp_path: Path) -> None:
    (_bird(tmp_path) / "dev.json").write_text('[\n{"a": 1},\n{"b" 2}]', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"not JSON: .*dev\.json:3"):
        _load(tmp_path, "bird")
    (tmp_path / "dev.json").write_text('{"a": 1}', encoding="utf-8")
    with pytest.raises(ConfigError, match="not a JSON array"):
        _load(tmp_path, "bird")
    (tmp_path / "dev.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ConfigError, match="has no items"):
        _load(tmp_path, "bird")


def test_spider_names_questions_by_their_place(tmp_path: Path) -> None:
    place = tmp_path / "database" / "shop"
    place.mkdir(parents=True)
    with sqlite3.connect(place / "shop.sqlite") as shop:
        shop.execute("CREATE TABLE orders (id INTEGER)")
    shop.close()
    row = {"db_id": "shop", "question": "How many?", "query": "SELECT count(*) FROM orders", "question_toks": ["How"]}
    (tmp_path / "dev.json").write_text(json.dumps([row, row]), encoding="utf-8")
    items = _load(tmp_path, "spider").items
    assert [item.item_id for item in items] == ["1", "2"]
    assert items[0].messages[-1]["content"] == "CREATE TABLE orders (id INTEGER);\n\nHow many?"
    assert items[0].reference == {"sql": "SELECT count(*) FROM orders", "db_id": "shop"}


def test_financebench_asks_with_the_evidence(tmp_path: Path) -> None:
    told = {**FINANCE, "financebench_id": "financebench_id_00002", "answer": "No, its margin fell from 12% to 10%."}
    path = tmp_path / "financebench_open_source.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (FINANCE, told)), encoding="utf-8")
    (item,) = _load(path, "financebench", slices=("question_type", "company")).items
    assert item.messages[-1]["content"] == f"Capital expenditures: 1,577\n\n{FINANCE['question']}"
    assert item.slices == {"question_type": "metrics-generated", "company": "Acme"}
    assert item.reference == {"answer": "$1,577.00", "scaled": "$1,577.00 million"}
    judged = _load(tmp_path, "financebench", metric="judge", judge={"rubric": "r.txt", "model": "/judge"})
    assert [item.item_id[-1] for item in judged.items] == ["1", "2"]
    path.write_text(json.dumps(told) + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="has no items.*questions whose answer is no number need 'metric: judge'"):
        _load(path, "financebench")
    path.write_text(json.dumps({**FINANCE, "evidence": [{}]}) + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"an entry without 'evidence_text'.*:1"):
        _load(path, "financebench")


def test_tatqa_asks_with_its_table(tmp_path: Path) -> None:
    path = tmp_path / "tatqa_dataset_dev.json"
    path.write_text(json.dumps([TATQA]), encoding="utf-8")
    items = _load(path, "tatqa", slices=("answer_type", "scale")).items
    assert [(item.item_id, item.reference["answer"]) for item in items] == [("q1", "$1,496.5"), ("q2", "12.5%")]
    assert items[0].messages[-1]["content"] == "In millions.\n\n| 2019\nTotal | $1,496.5\n\nThe total?".replace(
        "\n\n| 2019", "\n\n | 2019"
    )
    assert items[0].slices == {"answer_type": "span", "scale": "million"}
    every = _load(path, "tatqa", metric="exact_text").items
    assert [item.reference["answer"] for item in every] == ["$1,496.5", "12.5%", "It was cold.", "1; 2"]
    path.write_text(json.dumps([{**TATQA, "questions": [{"uid": "q1"}]}]), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"an item without 'question' \[.*entry 1, question 1\]"):
        _load(path, "tatqa")


@pytest.mark.parametrize(
    ("which", "line", "says"),
    [
        ("gsm8k", {"question": "1 + 1?", "answer": "It is 2."}, "an 'answer' without '####'"),
        ("gsm8k", {"question": "1 + 1?"}, "an item without 'answer'"),
        ("ifeval", {"key": 1, "prompt": "p", "instruction_id_list": ["a"], "kwargs": []}, "no two lists of one length"),
        ("ifeval", {"key": 1, "prompt": "p", "instruction_id_list": ["a"], "kwargs": ["b"]}, "'kwargs' is no object"),
    ],
)
def test_a_wrong_line_of_a_public_benchmark_is_named(tmp_path: Path, which: str, line: object, says: str) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text(f"\n{json.dumps(line)}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"{says}.*test\.jsonl:2"):
        _load(path, which)


@pytest.mark.parametrize(("which", "count"), [("gsm8k", 1319), ("ifeval", 541), ("tatqa", 1141)])
def test_the_real_files_load_whole(which: str, count: int) -> None:
    folder = DATA / which
    if not folder.is_dir():
        pytest.skip(f"no {folder}: name a folder with {which} in TAO_DATA")
    items = _load(folder, which).items
    assert len(items) == count
    assert all(item.reference and item.messages[-1]["content"].strip() for item in items)
