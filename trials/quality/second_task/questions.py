"""Banking77's questions: the exam, a worked example of each intent, and the traffic, whose labels no stage sees.

They are read where they are, in the folder that ``TAO_DATA`` names (CC-BY-4.0, arXiv 2003.04807).
"""

import csv
import json
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from tao_ops.dedup import jaccard
from trials.quality.cell import digest
from trials.quality.home import StageFailed
from trials.quality.settings import TURNS, day
from trials.real_logs.data import DATA

TASK = "intents"
BENCHMARK = "banking77"
FOLDER = DATA / BENCHMARK
ITEMS = 300
_EXAM, _EXAMPLES = "banking77 exam 1", "banking77 examples 1"
_LENGTH = range(20, 71)
"""Characters of a worked example: neither a fragment nor a story."""
_LIKE = 0.7
"""An example is less like any item of the exam than this, which is well below what is refused as near."""


@dataclass(frozen=True)
class Asked:
    """A question with its intent."""

    text: str
    intent: str


def missing() -> str | None:
    """Why the questions cannot be read; None where they can."""
    lacking = [name for name in ("train.csv", "test.csv") if not (FOLDER / name).is_file()]
    return f"there is no {FOLDER / lacking[0]}: name the folder with {BENCHMARK} in TAO_DATA" if lacking else None


@cache
def read(part: str) -> tuple[Asked, ...]:
    """The questions of ``train`` or ``test``, in the file's order.

    Raises:
        StageFailed: they are not there.
    """
    if (why := missing()) is not None:
        raise StageFailed(why)
    with (FOLDER / f"{part}.csv").open(encoding="utf-8", newline="") as file:
        return tuple(Asked(row["text"], row["category"]) for row in csv.DictReader(file))


def version() -> str:
    """A digest of all questions and intents."""
    return digest([[asked.text, asked.intent] for part in ("train", "test") for asked in read(part)])


def intents() -> list[str]:
    """The 77 labels, sorted."""
    return sorted({asked.intent for asked in read("train")})


def answer(intent: str) -> str:
    """The right answer to a question of this intent."""
    return json.dumps({"intent": intent})


@cache
def exam() -> tuple[Asked, ...]:
    """The benchmark: :data:`ITEMS` questions of ``test``, of each intent equally many or one more."""
    return tuple(stratified(read("test"), ITEMS, _EXAM))


def stratified(questions: Sequence[Asked], n: int, seed: str) -> list[Asked]:
    """``n`` of the questions, drawn by ``seed`` and in its order: of each intent ``n // intents``, or one more."""
    rng = random.Random(seed)
    by_intent: dict[str, list[Asked]] = defaultdict(list)
    for asked in questions:
        by_intent[asked.intent].append(asked)
    each, rest = divmod(n, len(by_intent))
    more = set(rng.sample(sorted(by_intent), rest))
    drawn = [asked for name, mine in sorted(by_intent.items()) for asked in rng.sample(mine, each + (name in more))]
    rng.shuffle(drawn)
    return drawn


@cache
def examples() -> tuple[Asked, ...]:
    """One labelled question of each intent, out of ``train``: what a person would have written to start.

    They are the only labels that exploration knows; none is like an item of the exam.
    """
    rng, found = random.Random(_EXAMPLES), []
    shuffled = rng.sample(read("train"), len(read("train")))
    for intent in intents():
        mine = (asked for asked in shuffled if asked.intent == intent and len(asked.text) in _LENGTH)
        found.append(next(a for a in mine if all(jaccard(a.text, item.text) < _LIKE for item in exam())))
    return tuple(found)


def traffic(seed: int, per_day: int) -> Mapping[str, tuple[str, Asked]]:
    """What was asked on the days of the turns: by request id, the day and the question with its hidden intent."""
    shown = set(examples())
    pool = [asked for asked in read("train") if asked not in shown]
    random.Random(f"banking77 traffic {seed}").shuffle(pool)
    days = [day(turn) for turn in TURNS]
    return {
        f"int-{when}-{number:04d}": (when, pool[place * per_day + number])
        for place, when in enumerate(days)
        for number in range(per_day)
    }


def write_traffic(folder: Path, seed: int, per_day: int, system_prompt: str) -> list[Path]:
    """Write each day's questions as logged calls to ``<day>-intents.jsonl``, evenly over the day, without an intent."""
    folder.mkdir(parents=True, exist_ok=True)
    lines: dict[str, list[str]] = defaultdict(list)
    for request_id, (when, asked) in traffic(seed, per_day).items():
        midnight = datetime.combine(date.fromisoformat(when), time(), tzinfo=UTC)
        received = midnight + timedelta(days=len(lines[when]) / per_day)
        lines[when].append(json.dumps(_call(request_id, received, asked.text, system_prompt), ensure_ascii=False))
    paths = []
    for when, told in lines.items():
        path = folder / f"{when}-{TASK}.jsonl"
        path.write_text("".join(f"{line}\n" for line in told), encoding="utf-8")
        paths.append(path)
    return paths


def _call(request_id: str, received: datetime, text: str, system_prompt: str) -> dict[str, Any]:
    messages = [{"role": "system", "content": system_prompt}, {"role": "user", "content": text}]
    return {
        "request_id": request_id,
        "received_at": received.isoformat(timespec="milliseconds"),
        "request": {"model": TASK, "messages": messages},
    }
