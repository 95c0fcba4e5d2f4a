"""A made-up history: a lake of many turns, one of them large, what runs left beside it, and the registry's record."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from benchmarks.page.stages import FIRST, STRATEGIES, TASKS, rows, run_id, scores
from tao_ops.database import connect
from tao_ops.files import write_json
from tao_ops.lake import DESCRIPTION, PROPERTIES, Lake
from tao_ops.lake_files import write_file
from tao_ops.registry import EventKind, record
from tao_ops.tables import CLUSTERS, EVALUATIONS, PROMPTS, QUARANTINE, QUERIES, RESPONSES, REWARDS, TURNS, Table
from tao_ops.turn import path_safe, turn_key

FLYWHEEL, SEED = "page", 20
TURNS_IN_ALL, CANDIDATES, EACH, SHARDS = 1000, 100_000, 8, 4
"""Turns; candidates of the large turn, of each prompt, and the shards that they lie in."""
SMALL_PROMPTS, SMALL_EACH = 20, 4
PROMOTED = 0.3
TRAINED = 200
"""Rows that a candidate was trained on; those of the large turn's are one of each prompt."""
_WORDS = (
    "order",
    "jacket",
    "kettle",
    "refund",
    "Oslo",
    "Utrecht",
    "broken",
    "late",
    "parcel",
    "lamp",
    "please",
    "never",
)
_STAMP = f"seed {SEED}, {TURNS_IN_ALL} turns, {CANDIDATES} candidates, 1"

Parts = Iterator[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]]


def turn(day: int) -> str:
    """The key of that day's turn."""
    return turn_key(FIRST + timedelta(days=day))


LARGE = TURNS_IN_ALL - 1
"""The day of the large turn: the newest."""


def build(root: Path) -> Lake:
    """The lake at ``root``: made where it is missing or of another shape, else as it is."""
    stamp = root / "made.json"
    if not stamp.is_file() or json.loads(stamp.read_text(encoding="utf-8")) != _STAMP:
        if root.exists() and any(root.iterdir()):
            raise SystemExit(f"error: {root} holds something else: remove it, or name another TAO_BENCH_LAKE")
        root.mkdir(parents=True, exist_ok=True)
        _make(Lake(str(root)))
        write_json(stamp, _STAMP)
    return Lake(str(root))


def _make(lake: Lake) -> None:
    rng = random.Random(SEED)
    sizes = [_sizes(day) for day in range(TURNS_IN_ALL)]
    _write(lake, TURNS, _turns(sizes, rng))
    _write(lake, EVALUATIONS, ((_of(day), scores(day, rng)) for day in range(TURNS_IN_ALL)))
    _write(lake, QUARANTINE, _quarantine(rng))
    _write(lake, QUERIES, ((_of(day), _queries(day, sizes[day]["prompts"])) for day in range(TURNS_IN_ALL)))
    _write(lake, PROMPTS, ((_of(day), _prompts(day, sizes[day]["prompts"])) for day in range(TURNS_IN_ALL)))
    _write(lake, CLUSTERS, ((_of(day), _clusters(day, sizes[day]["prompts"])) for day in range(TURNS_IN_ALL)))
    _write(lake, RESPONSES, _responses(sizes, rng))
    _write(lake, REWARDS, _rewards(sizes, rng))
    for day in range(TURNS_IN_ALL):
        _artifacts(Path(lake.root), day, sizes[day], rng)


def _sizes(day: int) -> dict[str, int]:
    prompts = CANDIDATES // EACH if day == LARGE else SMALL_PROMPTS
    responses = CANDIDATES if day == LARGE else SMALL_PROMPTS * SMALL_EACH
    return {"queries": prompts, "prompts": prompts, "responses": responses, "shards": SHARDS if day == LARGE else 1}


def _write(lake: Lake, table: Table, parts: Parts) -> None:
    """All partitions in one commit: a thousand would take an hour, and leave the same files."""
    actions = []
    for fixed, found in parts:
        data = pa.Table.from_pylist([{**row, **fixed} for row in found], schema=table.schema)
        if (action := write_file(lake.uri(table), table, data.to_batches(), fixed)) is not None:
            actions.append(action)
    opened = DeltaTable.create(
        lake.uri(table),
        table.schema,
        partition_by=list(table.partition),
        description=DESCRIPTION,
        configuration=PROPERTIES,
    )
    opened.create_write_transaction(actions, "append", table.schema, list(table.partition))
    DeltaTable(lake.uri(table)).create_checkpoint()


def _of(day: int, **more: Any) -> dict[str, Any]:
    return {"flywheel": FLYWHEEL, "turn": turn(day), "run_id": run_id(day), **more}


def _turns(sizes: Sequence[Mapping[str, int]], rng: random.Random) -> Parts:
    for day in range(TURNS_IN_ALL):
        for row in rows(day, sizes[day], rng):
            yield _of(day, stage=row["stage"], shard=row["shard"]), [row]


def _quarantine(rng: random.Random) -> Parts:
    for day in range(TURNS_IN_ALL):
        for stage, reasons in (("ingest", ("not_json", "no_time")), ("validate", ("expectation", "benchmark_item"))):
            found = [
                {"source": "logs", "position": f"{stage}:{n}", "reason": rng.choice(reasons), "excerpt": "…"}
                for n in range(5)
            ]
            yield _of(day, stage=stage), found


def query_id(day: int, number: int) -> str:
    """The query of a day's prompt."""
    return f"q{day:04}{number:06}"


def request_id(day: int, number: int) -> str:
    """Its request."""
    return f"req-{day}-{number}"


def register(url: str) -> None:
    """The record of the versions and of who was the champion, in the database ``tao`` of ``url``."""
    rng, champion = random.Random(SEED), record.BASE
    with connect(url) as connection:
        record.ensure_tables(connection)
        with connection.transaction():
            for version in range(1, TURNS_IN_ALL + 1):
                who, why = f"run {run_id(version - 1)}", f"turn {turn(version - 1)}: promote"
                about: dict[str, Any] = {"who": who, "why": why, "version": version}
                record.add(connection, FLYWHEEL, EventKind.REGISTERED, champions=(champion, champion), **about)
                if rng.random() < PROMOTED:
                    record.add(connection, FLYWHEEL, EventKind.PROMOTE, champions=(champion, version), **about)
                    champion = version


def text(day: int, number: int) -> str:
    """A prompt's text."""
    words = random.Random(day * 1_000_003 + number)
    return f"Message {day}-{number}: " + " ".join(words.choices(_WORDS, k=25))


def _queries(day: int, prompts: int) -> list[dict[str, Any]]:
    at = FIRST + timedelta(days=day, hours=12)
    return [
        {
            **{
                "query_id": query_id(day, n),
                "request_id": request_id(day, n),
                "source": "logs",
                "event_turn": turn(day),
            },
            **{"task": TASKS[n % 2], "received_at": at, "user_hash": f"u{n % 30}", "redactor_version": "1"},
            **{"messages": [{"role": "user", "content": text(day, n)}], "response": "A logged answer."},
        }
        for n in range(prompts)
    ]


def _prompts(day: int, prompts: int) -> list[dict[str, Any]]:
    return [
        {
            **{"query_id": query_id(day, n), "task": TASKS[n % 2], "count": 1 + n % 3, "cluster": f"c{n}"},
            **{"split": "holdout" if n % 10 == 0 else "train"},
            "messages": [{"role": "user", "content": text(day, n)}],
        }
        for n in range(prompts)
    ]


def _clusters(day: int, prompts: int) -> list[dict[str, Any]]:
    return [
        {
            "task": TASKS[n % 2],
            "query_id": query_id(day, n),
            "cluster": f"c{n}",
            "split": "train",
            "signature": b"s" * 64,
        }
        for n in range(prompts)
    ]


def _places(day: int, sizes: Mapping[str, int]) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """By shard, the prompts and samples that it holds."""
    each = sizes["responses"] // sizes["prompts"]
    for shard in range(sizes["shards"]):
        mine = range(shard, sizes["prompts"], sizes["shards"])
        yield shard, [(number, sample) for number in mine for sample in range(each)]


def _response(day: int, number: int, sample: int) -> dict[str, Any]:
    strategy = STRATEGIES[sample % len(STRATEGIES)]
    response_id = f"{query_id(day, number)}:{strategy}:{sample // len(STRATEGIES)}"
    return {"response_id": response_id, "query_id": query_id(day, number), "strategy": strategy}


def _responses(sizes: Sequence[Mapping[str, int]], rng: random.Random) -> Parts:
    numbers = np.random.default_rng(SEED)
    for day in range(TURNS_IN_ALL):
        for shard, places in _places(day, sizes[day]):
            tokens = numbers.integers(0, 50_000, (len(places), 60), dtype=np.int32)
            logprobs = numbers.random((len(places), 60), dtype=np.float32)
            found = [
                {
                    **_response(day, number, sample),
                    **{"strategy_version": "s1", "sample": sample // len(STRATEGIES), "round": 0, "temperature": 1.0},
                    "text": f"Let me see: {' '.join(rng.choices(_WORDS, k=40))}",
                    "answer": rng.choice(_WORDS),
                    **{"token_ids": tokens[n], "logprobs": logprobs[n], "finish_reason": "stop", "tokens": 60},
                    "model_version": "champion",
                }
                for n, (number, sample) in enumerate(places)
            ]
            yield _of(day, shard=shard), found


def _rewards(sizes: Sequence[Mapping[str, int]], rng: random.Random) -> Parts:
    for day in range(TURNS_IN_ALL):
        for shard, places in _places(day, sizes[day]):
            found = []
            for number, sample in places:
                one = _response(day, number, sample)
                values = [(name, rng.random()) for name in ("json_schema", "grounding", "consensus")]
                found.append(
                    {
                        **{name: one[name] for name in ("response_id", "query_id")},
                        "scores": values,
                        "undecided": [("judge", "no reference")],
                        "reward": None if rng.random() < 0.01 else rng.betavariate(0.6, 0.6),
                        "flags": ["repeats"] if rng.random() < 0.02 else [],
                        "calibrator_version": "c1",
                    }
                )
            yield _of(day, shard=shard), found


def _artifacts(root: Path, day: int, sizes: Mapping[str, int], rng: random.Random) -> None:
    """What the run left: the candidate's manifest, the rows that it was trained on, the curves of its training."""
    run = root / "artifacts" / FLYWHEEL / path_safe(turn(day)) / path_safe(run_id(day))
    model = run / f"candidate-{day:07}"
    model.mkdir(parents=True)
    window = [turn(d) for d in range(max(0, day - 6), day + 1)]
    of = [day] if day == LARGE else range(max(0, day - 6), day + 1)
    places = [(d, n) for d in of for n in range(sizes["prompts"] if d == LARGE else SMALL_PROMPTS)]
    trained = [
        {
            **{"turn": turn(d), "task": TASKS[n % 2], "reward": 0.9, "role": "chosen", "unit": 0, "weight": 1.0},
            **{"copies": 1, "response": rng.choice(_WORDS), "query_id": query_id(d, n)},
            "response_id": _response(d, n, 0)["response_id"],
            "messages": [{"role": "user", "content": text(d, n)}],
        }
        for d, n in (places if day == LARGE else places[:TRAINED])
    ]
    pq.write_table(pa.Table.from_pylist(trained), model / "training_rows.parquet")
    digests = {t: {name: {"version": 1, "rows": 20, "digest": "d" * 32} for name in _HELD} for t in window}
    lineage = {"turns": window, "rows": digests, "training_rows_sha256": "0" * 64, "prompts": {"tickets": "p" * 16}}
    manifest = {
        **{"model_version": f"candidate{day:07}", "path": str(model), "architecture": "Tiny", "parameters": 1000},
        **{"dtype": "BF16", "method": "raft", "hyperparameters": {}, "rows": len(trained), "seed": 7},
        **{"turn": turn(day), "run_id": run_id(day), "base": {"version": 0, "model_version": "base"}},
        **{"lineage": lineage, "metrics": {}},
    }
    write_json(model / "manifest.json", manifest)
    write_json(run / "candidate.json", manifest)
    figures = {"loss": 1.0, "learning_rate": 1e-4, "reward": 0.5, "kl": 0.1, "entropy": 0.3, "length": 30.0}
    time = "2026-11-21T02:00:00.000Z"
    lines = [json.dumps({"method": "raft", "step": step, "time": time, **figures}) for step in range(1, 400)]
    (run / "training.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


_HELD = ("queries", "prompts", "responses", "rewards")
