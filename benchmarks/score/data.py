"""Responses to score: the example's pool, and texts made from the public data that ``TAO_DATA`` names."""

import csv
import json
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tao_ops.example.answers import logged_answer
from tao_ops.example.entities import pools
from tao_ops.example.messages import messages
from tao_ops.example.templates import INCLUDE, traffic_templates
from tao_ops.records import Candidate
from tao_ops.settings import PROJECT, Settings
from trials.checkers import responses

FOLDER = Path(os.environ.get("TAO_DATA") or PROJECT.parent / "shared" / "data")
SEED, QUERIES, EACH = 7, 150, 17
_CHARACTERS_A_TOKEN = 4


def pool() -> tuple[list[dict[str, Any]], str]:
    """The example's responses, 150 queries × 17, and where they are from.

    Those that the trial ``example_rewards`` sampled from the untuned model, where the cache has them; else answers as
    the example's logs have them, with a token per four characters.
    """
    files = sorted((Settings.from_env().cache / "trials").glob("example-rewards-*.jsonl"), key=os.path.getmtime)
    if not files:
        return made(), "made as the example's logs are"
    return [json.loads(line) for line in files[-1].read_text(encoding="utf-8").split("\n") if line], "sampled"


def made(queries: int = QUERIES, each: int = EACH) -> list[dict[str, Any]]:
    """So many queries with so many answers each, the same ones always."""
    rng, rows = random.Random(SEED), []
    drawn = messages(traffic_templates(INCLUDE), pools(INCLUDE).traffic, rng)
    for number in range(queries):
        message = next(drawn)
        for sample in range(each):
            answer = logged_answer(message, rng)
            tokens = len(answer) // _CHARACTERS_A_TOKEN + 1
            row = {"query_id": f"q{number}", "query": message.text, "strategy": "plain", "sample": sample}
            rows.append({**row, "answer": answer, "tokens": tokens})
    return rows


def candidates(rows: Sequence[dict[str, Any]]) -> list[Candidate]:
    """Rows of a pool as scorers take them."""
    return [Candidate(row["query_id"], row["query"], row["answer"], row["strategy"]) for row in rows]


def there(*names: str) -> bool:
    """Whether the folder with the data has these."""
    return all((FOLDER / name).is_dir() for name in names)


def prose(count: int) -> list[str]:
    """Plain texts: solutions of GSM8K, questions to a bank, paragraphs of reports; else the example's messages."""
    if there("gsm8k", "banking77", "tatqa"):
        found = responses.texts(FOLDER)
    else:
        found = [row["query"] for row in made(count, 1)]
    return random.Random(SEED).choices(found, k=count)


def solutions(count: int) -> list[tuple[str, str]]:
    """Solutions of GSM8K's problems, without their last line, and the number in that; else sums."""
    if not there("gsm8k"):
        return [(f"First {n} + {n} = {2 * n}, then 1 more.", str(2 * n + 1)) for n in range(count)]
    lines = (FOLDER / "gsm8k" / "train.jsonl").read_text(encoding="utf-8").splitlines()[:count]
    parts = (json.loads(line)["answer"].rsplit("\n#### ", 1) for line in lines)
    return [(solution, number.replace(",", "")) for solution, number in parts]


def intents() -> list[str]:
    """The labels of questions to a bank; else a few of a shop."""
    if not there("banking77"):
        return ["refund", "late parcel", "wrong item", "price"]
    with (FOLDER / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
        return sorted({row["category"] for row in csv.DictReader(file)})
