"""Defog's questions with the queries that their authors accept, on the seven databases that there are."""

import csv
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from tao_ops.config import SqlConfig
from tao_ops.records import Candidate
from tao_ops.rewards import sql
from tao_ops.settings import PROJECT

DATA = Path(os.environ.get("TAO_DATA") or PROJECT.parent / "shared" / "data") / "defog"
LIMITS = SqlConfig(database="databases/{database}.sqlite", named_by=r"^Database: (\w+)", seconds=5.0)


@dataclass(frozen=True)
class Question:
    """One question, its category in Defog's set, and every query that is accepted as right."""

    number: int
    database: str
    category: str
    text: str
    reference: str

    @property
    def golds(self) -> list[str]:
        """The accepted queries one by one."""
        return sql.accepted(self.reference)

    def candidate(self, query: str, *, pool: str = "", reference: str | None = None) -> Candidate:
        """The query as a response to this question."""
        message = f"Database: {self.database}\n\n{self.text}"
        return Candidate(pool or str(self.number), message, query, reference=reference)


def load() -> list[Question]:
    """The questions whose database is there, in the file's order."""
    with (DATA / "questions_gen_sqlite.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    questions = [
        Question(i, row["db_name"], row["query_category"], row["question"], row["query"]) for i, row in enumerate(rows)
    ]
    return [one for one in questions if (DATA / "databases" / f"{one.database}.sqlite").is_file()]


def open_database(question: Question) -> sqlite3.Connection:
    """The question's database, to be read only."""
    path = DATA / "databases" / f"{question.database}.sqlite"
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def schema_of(database: sqlite3.Connection) -> dict[str, list[str]]:
    """Columns by table."""
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return {name: [row[1] for row in database.execute(f'PRAGMA table_info("{name}")')] for name in tables}
