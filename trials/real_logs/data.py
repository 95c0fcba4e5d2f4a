"""The data sets as logged queries and an exam, and the queries as files of the formats that log them."""

import csv
import gzip
import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from tao_ops.settings import PROJECT

DATA = Path(os.environ.get("TAO_DATA") or PROJECT.parent / "shared" / "data")
FIRST = datetime(2025, 3, 3, tzinfo=UTC)
COLUMNS = ("request_id", "received_at", "text", "user", "model_version", "response")

Query = dict[str, Any]


@dataclass(frozen=True)
class DataSet:
    """Real questions: some are logged, others are the exam.

    Attributes:
        key: what an answer is about.
        exam: questions, each with its right answer.
    """

    name: str
    key: str
    questions: list[str]
    exam: list[tuple[str, str]]


def load(folder: Path) -> list[DataSet]:
    """Banking77, its training questions logged; and Defog, all logged but those that come with instructions."""
    banking = [_read(folder / "banking77" / f"{name}.csv", "text", "category") for name in ("train", "test")]
    names = (("questions_gen_sqlite", "idk"), ("instruct_basic_sqlite", "instruct_advanced_sqlite"))
    defog = [
        [pair for one in part for pair in _read(folder / "defog" / f"{one}.csv", "question", "query")] for part in names
    ]
    return [
        DataSet(name, key, [question for question, _ in logged], exam)
        for name, key, (logged, exam) in (("banking77", "intent", banking), ("defog", "sql", defog))
    ]


def _read(path: Path, question: str, answer: str) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [(row[question], row[answer]) for row in csv.DictReader(file)]


def asked(data: DataSet, seed: int, *, days: int) -> list[Query]:
    """The questions in an order of the seed, evenly over the days from :data:`FIRST` on, by a fifth as many users."""
    rng, questions = random.Random(seed), list(data.questions)
    rng.shuffle(questions)
    return [
        {
            "request_id": f"req-{place}",
            "received_at": (FIRST + days * timedelta(days=place / len(questions))).isoformat(timespec="milliseconds"),
            "text": question,
            "user": f"customer-{rng.randrange(len(questions) // 5)}",
            "model_version": f"{data.name}@0",
            "response": "We are looking into it.",
        }
        for place, question in enumerate(questions)
    ]


def write(path: Path, queries: Sequence[Query]) -> None:
    """Write queries as the path says: Parquet, or JSON lines, plain, gzip or zstd; LiteLLM's in a folder so named."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(queries)), path)
        return
    line = _litellm if path.parent.name == "litellm" else _chat_completion
    content = "".join(f"{json.dumps(line(query), ensure_ascii=False)}\n" for query in queries).encode()
    packed: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstandard.compress}
    path.write_bytes(packed.get(path.suffix, bytes)(content))


def _chat_completion(query: Query) -> dict[str, Any]:
    return {
        "request_id": query["request_id"],
        "received_at": query["received_at"],
        "request": {"user": query["user"], "messages": [{"role": "user", "content": query["text"]}]},
        "response": _response(query),
    }


def _litellm(query: Query) -> dict[str, Any]:
    return {
        "id": query["request_id"],
        "call_type": "acompletion",
        "status": "success",
        "startTime": datetime.fromisoformat(query["received_at"]).timestamp(),
        "model": query["model_version"],
        "end_user": query["user"],
        "messages": [{"role": "user", "content": query["text"]}],
        "response": _response(query),
    }


def _response(query: Query) -> dict[str, Any]:
    answer = {"role": "assistant", "content": query["response"]}
    return {"model": query["model_version"], "choices": [{"message": answer}]}
