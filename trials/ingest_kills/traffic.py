"""The logs of the trial, the same each time: three days of a shop's messages, each query in one to three files."""

import gzip
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from tao_ops.example.entities import pools
from tao_ops.example.messages import messages
from tao_ops.example.templates import INCLUDE, traffic_templates

DAYS = tuple(datetime(2025, 3, day, tzinfo=UTC) for day in (3, 4, 5))
COLUMNS = ("request_id", "received_at", "text", "user", "model_version", "response")
"""Of the warehouse's export."""

Files = dict[str, bytes]
Query = dict[str, Any]


def arrivals(a_day: int) -> list[Files]:
    """The files that arrive before each turn of the schedule; one of the same name as before has grown."""
    one, two, three = (_queries(number, a_day) for number in range(len(DAYS)))

    def part(day: list[Query], start: float, end: float) -> list[Query]:
        return day[int(start * a_day) : int(end * a_day)]

    grown = _lines(one)
    undated = [json.dumps({"request": {"messages": []}}), "upstream connect error"]
    return [
        {
            "gateway/2025-03-03.jsonl": grown[: int(0.6 * len(grown))],  # in the middle of a line
            "gateway/2025-03-03-export.jsonl.gz": gzip.compress(_lines(part(one, 0.3, 0.8))),
            "gateway/undated.jsonl": "\n".join(undated).encode() + b"\n" + _lines(part(two, 0, 0.01)),
            "warehouse/2025-03-03.parquet": _parquet(part(one, 0.5, 0.9)),
        },
        {
            "gateway/2025-03-03.jsonl": grown[: int(0.8 * len(grown))],
            "gateway/2025-03-04.jsonl": _lines(part(two, 0, 0.9) + part(one, 0.88, 0.96)),
            "gateway/2025-03-04-export.jsonl.zst": zstandard.compress(_lines(part(two, 0.5, 0.97))),
            "warehouse/2025-03-04.parquet": _parquet(part(two, 0.2, 0.6)),
        },
        {"gateway/2025-03-03.jsonl": grown},
        {
            "gateway/2025-03-05.jsonl.gz": gzip.compress(_lines(part(three, 0, 0.7) + part(two, 0.95, 1))),
            "gateway/2025-03-05-export.jsonl.zst": zstandard.compress(_lines(part(three, 0.6, 1))),
            "warehouse/2025-03-05.parquet": _parquet(part(three, 0.3, 0.8)),
        },
    ]


def _queries(number: int, count: int) -> list[Query]:
    """A day's queries, by their times: some said before or nearly so, some an exam's, some without an id."""
    rng = random.Random(number)
    exam = (INCLUDE / "benchmarks" / "tickets" / "items.jsonl").read_text(encoding="utf-8").splitlines()
    new = messages(traffic_templates(), pools().traffic, rng)
    said: list[str] = []
    for _ in range(count):
        text = next(new).text
        kind = rng.random()
        if said and kind < 0.2:
            text = rng.choice(said) + ("" if kind < 0.1 else " Thanks!")
        elif kind > 0.97:
            text = json.loads(rng.choice(exam))["messages"][-1]["content"]
        elif kind > 0.9:
            text += f" Write to anna{rng.randrange(count)}@example.org."
        said.append(text)
    return [
        {
            "request_id": None if place % 40 == 7 else f"req-{number}-{place}",
            "received_at": (DAYS[number] + timedelta(days=place / count)).isoformat(timespec="milliseconds"),
            "text": text,
            "user": f"customer{place % 300}@example.org",
            "model_version": "tickets@0",
            "response": f"Thank you for {text!r}",
        }
        for place, text in enumerate(said)
    ]


def _lines(queries: list[Query]) -> bytes:
    """Chat completions, one a line; now and then one that is broken, or has another's request id."""
    lines = []
    for place, query in enumerate(queries):
        asked = {"user": query["user"], "messages": [{"role": "user", "content": query["text"]}]}
        answer = {"model": query["model_version"], "choices": [{"message": {"content": query["response"]}}]}
        line = {"request_id": query["request_id"], "received_at": query["received_at"]}
        lines.append(json.dumps({**line, "request": asked, "response": answer}))
        if place % 200 == 99:
            lines += [lines[-1][:150], json.dumps({**line, "request": {**asked, "messages": []}, "response": answer})]
            other = next(before for before in queries[place - 2 : place] if before["request_id"])
            lines.append(json.dumps({**json.loads(lines[-3]), "request_id": other["request_id"]}))
    return "".join(f"{line}\n" for line in lines).encode()


def _parquet(queries: list[Query]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(queries), sink)
    return bytes(sink.getvalue())
