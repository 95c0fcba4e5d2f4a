"""The benchmark of the example: 300 fixed items whose wording and values appear nowhere in the query logs.

``python -m tao_ops.example.benchmark`` writes them to ``include/benchmarks/tickets/items.jsonl``.
"""

import itertools
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from tao_ops.example.entities import pools
from tao_ops.example.messages import Message, messages
from tao_ops.example.templates import INCLUDE, benchmark_templates, traffic_templates

SEED = 2025
ITEMS = 300


class Turn(TypedDict):
    """One message of a conversation."""

    role: str
    content: str


class Item(TypedDict):
    """A question and its answer, as one line of ``items.jsonl``."""

    item_id: str
    messages: list[Turn]
    reference: dict[str, str]


def benchmark_items(include: Path = INCLUDE) -> list[Item]:
    """The 300 items, the same each time.

    Raises:
        ConfigError: a file that they are made from is missing or malformed.
    """
    rng = random.Random(f"tickets benchmark {SEED}")
    drawn = messages(benchmark_templates(include), pools(include).benchmark, rng)
    return _items("tickets", itertools.islice(drawn, ITEMS))


def development_items(seed: int, n: int, include: Path = INCLUDE) -> list[Item]:
    """``n`` items made of the logs' own wording and values, to choose settings by without the benchmark.

    Raises:
        ConfigError: a file that they are made from is missing or malformed.
    """
    rng = random.Random(f"tickets development {seed}")
    drawn = messages(traffic_templates(include), pools(include).traffic, rng)
    return _items(f"development-{seed}", itertools.islice(drawn, n))


def write_benchmark(path: Path, include: Path = INCLUDE) -> None:
    """Write the benchmark's items as JSON lines.

    Raises:
        ConfigError: a file that they are made from is missing or malformed.
    """
    lines = [json.dumps(item, ensure_ascii=False) + "\n" for item in benchmark_items(include)]
    path.write_text("".join(lines), encoding="utf-8")


def _items(name: str, drawn: Iterable[Message]) -> list[Item]:
    return [
        Item(
            item_id=f"{name}-{number:03d}",
            messages=[Turn(role="user", content=message.text)],
            reference=message.reference,
        )
        for number, message in enumerate(drawn, start=1)
    ]


if __name__ == "__main__":
    write_benchmark(INCLUDE / "benchmarks" / "tickets" / "items.jsonl")
