"""The flywheel ``tickets`` as the browser's tests see it: its own messages, benchmark and model; promotions wait."""

import json
import random
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import yaml

from tao_ops.settings import PROJECT
from tests.tao_ops.conftest import _write_model, right_answer

NAMES = ("Anna", "Bela", "Cleo", "Dora", "Emil", "Fay", "Gus", "Hugo", "Ida", "Jan", "Kai", "Lea", "Mia", "Nils")
PRODUCTS = ("kettle", "rain jacket", "tent", "desk lamp", "french press", "smartwatch", "screen protector", "teapot")
CITIES = ("Oslo", "Utrecht", "Dessau", "Leuven", "Den Haag", "Basel", "Porto", "Turku", "Gdynia", "Lyon")
PER_DAY, ITEMS = 40, 60


def write_flywheel(include: Path, folder: Path, *, approval: str = "manual") -> None:
    """The shipped flywheel with a model that is pretended and a benchmark of its own."""
    told = yaml.safe_load((PROJECT / "include" / "flywheels" / "tickets.yaml").read_text(encoding="utf-8"))
    told |= {"model": str(_write_model(folder / "model")), "evaluate": {"control": None}}
    told["gate"] |= {"approval": approval, "approval_limit": "20h", "guards": {"timed": 0}}
    path = include / "flywheels" / "tickets.yaml"
    path.write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")
    texts = messages(ITEMS, seed=0)
    items = [
        {"item_id": f"tickets-{n:03}", "messages": [{"role": "user", "content": t}], "reference": _facts(t)}
        for n, t in enumerate(texts, 1)
    ]
    benchmark = include / "benchmarks" / "tickets" / "items.jsonl"
    benchmark.write_text("".join(f"{json.dumps(item)}\n" for item in items), encoding="utf-8")


def write_logs(folder: Path, days: Sequence[date]) -> None:
    """A day's messages in a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for day in days:
        lines = []
        for number, text in enumerate(messages(PER_DAY, seed=day.toordinal())):
            at = f"{datetime(day.year, day.month, day.day, 6 + number // 4, number % 4 * 15):%Y-%m-%dT%H:%M:%SZ}"
            body = {"user": f"u{number % 9}", "messages": [{"role": "user", "content": text}]}
            answer = {"model": "shop@0", "choices": [{"message": {"content": _logged(text, number)}}]}
            record = {"request_id": f"{day}-{number}", "received_at": at, "request": body, "response": answer}
            lines.append(json.dumps(record))
        (folder / f"{day}.jsonl").write_text("\n".join([*lines, "{broken"]), encoding="utf-8")


def messages(count: int, *, seed: int) -> list[str]:
    """So many messages, none twice."""
    every = [f"{name} here, my {what} never came to {city}." for name in NAMES for what in PRODUCTS for city in CITIES]
    return random.Random(seed).sample(every, count)


def _facts(text: str) -> dict[str, str]:
    facts: dict[str, str] = json.loads(right_answer(text))
    return facts


def _logged(text: str, number: int) -> str:
    return right_answer(text) if number % 3 else "Sure, the customer is"
