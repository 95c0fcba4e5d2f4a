"""What an output is worth on a benchmark, with the reference given; and what makes scores not comparable."""

import contextlib
import csv
import json
import os
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tao_ops.benchmarks.item_sets import ItemSet
from tao_ops.config import BenchmarkConfig
from tao_ops.errors import ConfigError, DataError
from tao_ops.records import Message
from tao_ops.rewards import Models, sql
from tao_ops.scoring import marks
from tao_ops.settings import PROJECT

DATA = Path(os.environ.get("TAO_DATA", PROJECT / ".." / "shared" / "data"))


class _Judge:
    """Says yes where the answer names Oslo."""

    def next_word(
        self, conversations: Sequence[Sequence[Message]], words: Sequence[str]
    ) -> list[Mapping[str, float] | str]:
        return [
            {words[0]: -0.1, words[1]: -3.0} if "Oslo" in one[-1]["content"] else "no answer" for one in conversations
        ]


class _Models:
    def judge(self, config: object) -> _Judge:
        return _Judge()

    def reward_model(self, config: object) -> Any:
        raise AssertionError

    def embed(self, config: object) -> Any:
        raise AssertionError


MODELS: Models = _Models()


class Exam:
    """A benchmark in a folder."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.folder, self.benchmark = folder, BenchmarkConfig(**{"name": "exam", "path": ".", **config})

    def file(self, relative: str) -> Path:
        return self.folder / relative

    @property
    def items(self) -> ItemSet:
        return marks.asked(self.benchmark, self.file)

    def scores(self, *outputs: str) -> list[float]:
        return marks.scores(self.benchmark, self.items, outputs, MODELS, self.file)

    def check(self) -> None:
        marks.check(self.benchmark, self.items, self.file)

    @property
    def version(self) -> str:
        return marks.version(self.benchmark, self.file)


def _table(folder: Path, *references: Any, **config: Any) -> Exam:
    asked = [{"role": "user", "content": "Where is Ana?"}]
    rows = [{"item_id": str(i), "messages": asked, "reference": one} for i, one in enumerate(references)]
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return Exam(folder, **config)


def _lines(folder: Path, name: str, *rows: Any, **config: Any) -> Exam:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return Exam(folder, path=name, **config)


def test_a_metric_compares_with_the_reference(tmp_path: Path) -> None:
    exam = _table(tmp_path, {"city": "Oslo"}, {"city": "Rome"})
    assert exam.scores('{"city": "Oslo"}', '{"city": "Oslo"}') == [1.0, 0.0]
    assert exam.version == exam.items.version
    exam = _table(tmp_path, "late card", "hello", metric="exact_text")
    assert exam.scores(" late  card\n", "Hello") == [1.0, 0.0]
    assert exam.version.startswith(f"{exam.items.version}-")


@pytest.mark.parametrize(
    ("scorer", "reference", "outputs"),
    [
        ({"name": "numeric"}, {"answer": "1,200"}, ("It is $1200.", "1201")),
        ({"name": "numeric"}, {"answer": 1200}, ("It is $1200.", "1201")),
        ({"name": "regex", "pattern": "[A-Z]{4}"}, {"answer": "x"}, ("OSLO", "Oslo")),
        ({"kind": "own", "name": "mine", "file": "mine.py"}, {"a": "Oslo", "b": 1}, ("Oslo", "Rome")),
    ],
)
def test_a_scorer_is_given_the_reference(
    tmp_path: Path, scorer: dict[str, Any], reference: Any, outputs: tuple[str, str]
) -> None:
    mine = 'import json\ndef score(batch):\n    return [one.text == json.loads(one.reference)["a"] for one in batch]\n'
    (tmp_path / "mine.py").write_text(mine, encoding="utf-8")
    exam = _table(tmp_path, reference, reference, scorer=scorer)
    exam.check()
    assert exam.scores(*outputs) == [1.0, 0.0]


def test_the_version_follows_the_scorer_and_its_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def score(batch):\n    return [1.0 for _ in batch]\n", encoding="utf-8")
    scorer = {"kind": "own", "name": "mine", "file": "mine.py"}
    before = _table(tmp_path, {"a": 1}, scorer=scorer).version
    assert _table(tmp_path, {"a": 1}, scorer={**scorer, "options": {"n": 2}}).version != before
    (tmp_path / "mine.py").write_text("def score(batch):\n    return [0.5 for _ in batch]\n", encoding="utf-8")
    assert _table(tmp_path, {"a": 1}, scorer=scorer).version != before
    (tmp_path / "mine.py").unlink()
    exam = _table(tmp_path, {"a": 1}, scorer=scorer)
    with pytest.raises(ConfigError, match=r"the scorer's file cannot be read.*mine\.py"):
        _ = exam.version
    with pytest.raises(ConfigError, match=r"the scorer cannot be imported.*mine\.py"):
        exam.check()


def test_what_a_scorer_cannot_decide_is_not_right_and_not_often(tmp_path: Path) -> None:
    scorer = {"kind": "own", "name": "mine", "file": "mine.py"}
    mine = "def score(batch):\n    return [None if one.text == '?' else 1.0 for one in batch]\n"
    (tmp_path / "mine.py").write_text(mine, encoding="utf-8")
    exam = _table(tmp_path, *({"a": 1},) * 20, scorer=scorer)
    assert exam.scores("?", *("x",) * 19) == [0.0, *(1.0,) * 19]
    with pytest.raises(DataError, match=r"mine could not score 2 of 20 items of exam: undecided \[the first: 0\]"):
        exam.scores("?", "?", *("x",) * 18)


def test_a_judge_gives_the_probability_that_it_is_right(tmp_path: Path) -> None:
    (tmp_path / "rubric.txt").write_text("The city.", encoding="utf-8")
    (tmp_path / "prompts" / "judge").mkdir(parents=True)
    shutil.copy(PROJECT / "include" / "prompts" / "judge" / "single.txt", tmp_path / "prompts" / "judge")
    judge = {"rubric": "rubric.txt", "model": "/judge"}
    exam = _table(tmp_path, *({"city": "Oslo"},) * 2, metric="judge", judge=judge)
    exam.check()
    found = exam.scores("In Oslo.", "Oslo")
    assert all(score > 0.9 for score in found)
    before = exam.version
    (tmp_path / "rubric.txt").write_text("The country.", encoding="utf-8")
    assert exam.version != before
    (tmp_path / "rubric.txt").unlink()
    with pytest.raises(ConfigError, match=r"judge's file cannot be read.*rubric\.txt"):
        exam.check()


def test_gsm8k_compares_the_final_number(tmp_path: Path) -> None:
    row = {"question": "16 - 7?", "answer": "16 - 7 = <<16-7=9>>9\n#### 9"}
    exam = _lines(tmp_path, "test.jsonl", row, row, format="gsm8k")
    exam.check()
    assert exam.scores("It is 16 - 7 = 9.", "The answer is 8.") == [1.0, 0.0]
    exam = _lines(tmp_path, "test.jsonl", {"question": "?", "answer": "#### none"}, format="gsm8k")
    with pytest.raises(ConfigError, match=r"a reference without a number \[exam: 1\]"):
        exam.check()


def test_a_number_of_a_table_in_millions_is_right_with_and_without_the_word(tmp_path: Path) -> None:
    row = {
        "table": {"uid": "t", "table": [["Total", "1,496.5"]]},
        "paragraphs": [],
        "questions": [
            {"uid": str(i), "question": "?", "answer": ["1,496.5"], "answer_type": "span", "scale": "million"}
            for i in range(4)
        ],
    }
    (tmp_path / "tatqa_dataset_dev.json").write_text(json.dumps([row]), encoding="utf-8")
    exam = Exam(tmp_path, format="tatqa")
    exam.check()
    outputs = ("$1,496.5", "It was $1.4965 billion.", "1,496.5 million", "1,496.5 thousand")
    assert exam.scores(*outputs) == [1.0, 1.0, 1.0, 0.0]


def test_ifeval_counts_a_prompt_only_where_all_is_followed(tmp_path: Path) -> None:
    row = {
        "key": 7,
        "prompt": "Answer without a comma in less than four words.",
        "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
        "kwargs": [{}, {"relation": "less than", "num_words": 4, "num_highlights": None}],
    }
    exam = _lines(tmp_path, "input_data.jsonl", *({**row, "key": key} for key in range(3)), format="ifeval")
    exam.check()
    assert exam.scores("So it is.", "So it is, yes it is so.", "So, yes.") == [1.0, 0.0, 0.0]
    exam = _lines(tmp_path, "input_data.jsonl", {**row, "instruction_id_list": ["a", "b"]}, format="ifeval")
    with pytest.raises(ConfigError, match=r"unknown id 'a' \[exam: 7\]"):
        exam.check()


def _shop(folder: Path, which: str, gold: str) -> Exam:
    place = folder / {"bird": "dev_databases", "spider": "database"}[which] / "shop"
    place.mkdir(parents=True, exist_ok=True)
    (place / "shop.sqlite").unlink(missing_ok=True)
    with sqlite3.connect(place / "shop.sqlite") as shop:
        shop.execute("CREATE TABLE orders (id INTEGER, city TEXT)")
        shop.executemany("INSERT INTO orders VALUES (?, ?)", [(1, "Oslo"), (2, "Rome"), (3, "Oslo")])
    shop.close()
    row = {"question_id": 1, "db_id": "shop", "question": "Which?", "evidence": "", "SQL": gold, "query": gold}
    (folder / "dev.json").write_text(json.dumps([row]), encoding="utf-8")
    return Exam(folder, format=which)


def test_bird_compares_sets_of_rows_with_columns_in_order(tmp_path: Path) -> None:
    exam = _shop(tmp_path, "bird", "SELECT city FROM orders ORDER BY id")
    exam.check()
    right = (
        "SELECT city FROM orders ORDER BY city DESC",
        "SELECT DISTINCT city FROM orders",
        "```sql\nSELECT city FROM orders;\n```",
    )
    wrong = (
        "SELECT city, id FROM orders",
        "SELECT city FROM orders LIMIT 1",
        "SELECT town FROM orders",
        "DROP TABLE orders",
        "",
    )
    assert [exam.scores(text)[0] for text in right] == [1.0] * 3
    assert [exam.scores(text)[0] for text in wrong] == [0.0] * 5
    exam = _shop(tmp_path, "bird", "SELECT id, city FROM orders")
    assert exam.scores("SELECT city, id FROM orders") == [0.0]


def test_spider_compares_rows_with_repeats_and_their_order_where_one_is_asked_for(tmp_path: Path) -> None:
    exam = _shop(tmp_path, "spider", "SELECT id, city FROM orders ORDER BY id")
    assert exam.scores("SELECT city, id FROM orders ORDER BY 2") == [1.0]
    assert exam.scores("SELECT id, city FROM orders ORDER BY id DESC") == [0.0]
    exam = _shop(tmp_path, "spider", "SELECT city FROM orders")
    assert exam.scores("SELECT DISTINCT city FROM orders") == [0.0]


def test_gold_queries_that_give_nothing_are_no_benchmark(tmp_path: Path) -> None:
    exam = _shop(tmp_path, "bird", "SELECT town FROM orders")
    with pytest.raises(
        DataError, match="execution_accuracy could not score 1 of 1 items.*the gold SQL gives no result"
    ):
        exam.scores("SELECT city FROM orders")


def test_a_database_that_is_being_written_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    exam = _shop(tmp_path, "bird", "SELECT city FROM orders")
    (tmp_path / "dev_databases" / "shop" / "shop.sqlite-wal").write_bytes(b"unfinished")
    with pytest.raises(ConfigError, match="unfinished writes"):
        exam.check()


def test_defog_in_the_layout_of_bird(tmp_path: Path) -> None:
    source = DATA / "defog"
    if not source.is_dir():
        pytest.skip(f"no {source}: name a folder with defog in TAO_DATA")
    with (source / "questions_gen_sqlite.csv").open(encoding="utf-8", newline="") as file:
        told = [row for row in csv.DictReader(file) if (source / "databases" / f"{row['db_name']}.sqlite").is_file()]
    rows = []
    for number, row in enumerate(told[::3]):
        name = row["db_name"]
        place = tmp_path / "dev_databases" / name
        place.mkdir(parents=True, exist_ok=True)
        if not (place / f"{name}.sqlite").exists():
            shutil.copy(source / "databases" / f"{name}.sqlite", place)
        rows.append(
            {
                "question_id": number,
                "db_id": name,
                "question": row["question"],
                "evidence": row["instructions"],
                "SQL": sql.accepted(row["query"])[0],
                "difficulty": row["query_category"],
            }
        )
    (tmp_path / "mini_dev_sqlite.json").write_text(json.dumps(rows), encoding="utf-8")
    exam = Exam(tmp_path, format="bird", slices=("difficulty", "db_id"))
    exam.check()
    gold = [str(item.reference["sql"]) for item in exam.items.items]
    assert len(gold) > 30
    assert exam.scores(*gold) == [1.0] * len(gold)
    assert exam.scores(*("SELECT 'nobody asked for this', 7",) * len(gold)) == [0.0] * len(gold)
    other = [*gold[1:], gold[0]]  # where the database is another one, it does not run
    paths = [tmp_path / "dev_databases" / row["db_id"] / f"{row['db_id']}.sqlite" for row in rows]
    assert exam.scores(*other) == [_by_sqlite(*one) for one in zip(paths, gold, other, strict=True)]


def _by_sqlite(path: Path, gold: str, text: str) -> float:
    """BIRD's rule, on SQLite itself."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        try:
            return float(set(database.execute(text)) == set(database.execute(gold)))
        except sqlite3.Error:
            return 0.0


def test_the_references_of_the_real_files_are_right_by_their_own_scorers() -> None:
    for name in ("gsm8k", "tatqa"):
        if not (DATA / name).is_dir():
            pytest.skip(f"no {DATA / name}: name a folder with {name} in TAO_DATA")
        exam = Exam(DATA, path=name, format=name, limit=200)
        exam.check()
        assert exam.scores(*(str(item.reference["answer"]) for item in exam.items.items)) == [1.0] * 200
