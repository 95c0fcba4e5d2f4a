"""Query logs of the example: a week of chat completions as a gateway writes them, one file a day.

What a day holds depends on the seed and on which day of the week before ``today`` it is; only the dates are
relative to ``today``.
"""

import datetime
import gzip
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tao_ops.example.answers import logged_answer
from tao_ops.example.entities import pools
from tao_ops.example.messages import Message, messages
from tao_ops.example.templates import INCLUDE, traffic_templates

REPEATED = 0.08
"""The share of messages that repeat an earlier one of their day word for word."""
USERS = 600
DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True)
class Query:
    """One request and its answer, with the time of day but without a date."""

    number: int
    millisecond: int
    token: str
    user: str
    message: Message
    answer: str


def write_logs(
    folder: Path,
    *,
    seed: int,
    today: datetime.date,
    system_prompt: str,
    days: int = 7,
    per_day: int = 150,
    include: Path = INCLUDE,
) -> list[Path]:
    """Write one file for each of the ``days`` days before ``today`` (UTC); return their paths, oldest first.

    ``<folder>/<YYYY-MM-DD>.jsonl`` holds about ``per_day`` requests (7 % more or fewer) in the order of their
    times, and two or three broken lines; the last day but one is ``.jsonl.gz``. Each request's first message
    is ``system_prompt``. A day that has a file already, of either ending, keeps it; its path is returned too.
    A file appears whole or not at all.

    Raises:
        ConfigError: a file that the messages are made from is missing or malformed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(days):
        date = today - datetime.timedelta(days=days - index)
        plain = folder / f"{date.isoformat()}.jsonl"
        packed = plain.with_name(f"{plain.name}.gz")
        path = next((there for there in (plain, packed) if there.exists()), None)
        if path is None:
            path = packed if index == days - 2 else plain
            rng = random.Random(f"tickets logs {seed} {index}")
            lines = _day_lines(date, system_prompt, per_day, rng, include)
            _write_whole(path, "".join(f"{line}\n" for line in lines).encode())
        paths.append(path)
    return paths


def _write_whole(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    unfinished.replace(path)


def _day_lines(date: datetime.date, system_prompt: str, per_day: int, rng: random.Random, include: Path) -> list[str]:
    count = per_day + rng.randint(-(per_day // 15), per_day // 15)
    drawn = messages(traffic_templates(include), pools(include).traffic, rng)
    records = [_record(query, date, system_prompt) for query in _queries(drawn, count, rng)]
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    for broken in rng.sample(_broken(records, rng), rng.randint(2, 3)):
        lines.insert(rng.randint(0, len(lines)), broken)
    return lines


def _queries(drawn: Iterator[Message], count: int, rng: random.Random) -> Iterator[Query]:
    """``count`` queries in the order of their times, most of them by day, some at night."""
    times = sorted(_time_of_day(rng) for _ in range(count))
    repeats = set(rng.sample(range(count // 10, count), round(count * REPEATED)))
    asked: list[Message] = []
    users = rng.sample(range(1, USERS + 1), min(count, USERS))
    for number, millisecond in enumerate(times):
        message = rng.choice(asked) if number in repeats else next(drawn)
        asked.append(message)
        yield Query(
            number=number,
            millisecond=millisecond,
            token=f"{rng.randrange(16**4):04x}",
            user=f"cust-{users[number % len(users)]:04d}",
            message=message,
            answer=logged_answer(message, rng),
        )


def _time_of_day(rng: random.Random) -> int:
    if rng.random() < 0.3:
        return rng.randrange(DAY_MS)
    return int(rng.triangular(6, 23, 18) * 60 * 60 * 1000)


def _record(query: Query, date: datetime.date, system_prompt: str) -> dict[str, object]:
    midnight = datetime.datetime.combine(date, datetime.time(), tzinfo=datetime.UTC)
    received = midnight + datetime.timedelta(milliseconds=query.millisecond)
    prompt_tokens = (len(system_prompt) + len(query.message.text)) // 4 + 16
    completion_tokens = len(query.answer) // 4 + 1
    return {
        "request_id": f"req-{date:%Y%m%d}-{query.number:04d}-{query.token}",
        "received_at": received.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "request": {
            "model": "tickets",
            "user": query.user,
            "messages": [
                {"role": "system", "content": system_prompt},
                {"role": "user", "content": query.message.text},
            ],
        },
        "response": {
            "id": f"chatcmpl-{query.number:04d}{query.token}",
            "object": "chat.completion",
            "created": int(received.timestamp()),
            "model": "tickets@0",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": query.answer},
                    "finish_reason": "stop",
                }
            ],
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
                "total_tokens": prompt_tokens + completion_tokens,
            },
        },
    }


def _broken(records: list[dict[str, object]], rng: random.Random) -> list[str]:
    """Lines that no reader can use: cut off, not JSON at all, without messages, without a time."""
    whole, silent, timeless = (dict(rng.choice(records)) for _ in range(3))
    line = json.dumps(whole, ensure_ascii=False)
    silent |= {
        "request": {"model": "tickets", "user": "cust-0000"},
        "request_id": f"{silent['request_id']}-m",
    }
    timeless["request_id"] = f"{timeless['request_id']}-t"
    del timeless["received_at"]
    return [
        line[: rng.randint(len(line) // 3, len(line) - 2)],
        "upstream connect error or disconnect/reset before headers, retrying",
        json.dumps(silent, ensure_ascii=False),
        json.dumps(timeless, ensure_ascii=False),
    ]
