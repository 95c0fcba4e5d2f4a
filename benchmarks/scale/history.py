"""A lake with many turns behind it, made by the lake's own writes, and copies of it as it was on the way."""

import json
import os
import random
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pyarrow as pa
import pyarrow.compute as pc
from deltalake.transaction import AddAction

from tao_ops import lake as lake_module
from tao_ops.lake import Lake, open_lake
from tao_ops.lake_files import write_file
from tao_ops.tables import QUERIES, REWARDS, TURNS, Table
from tao_ops.turn import Turn, path_safe

FLYWHEEL, SEED = "scale", 20
FIRST = datetime(2024, 1, 1, tzinfo=UTC)
STAGES = ("ingest", "validate", "generate", "score", "update", "evaluate", "gate", "register")
LATENESS_DAYS = 2
"""How far back ``ingest`` looks by default."""
REWARDED = 10_000
"""Rewards of a turn, at most: the columns that all of them are asked for would not fit into the memory otherwise."""
_SAID = (
    "please order refund jacket city delivery broken never arrived kettle lamp street number invoice help thanks card"
)
_WORDS = _SAID.split()


@dataclass
class Made:
    """What was made.

    Attributes:
        lakes: by the turns that each holds.
        bytes_a_row: by table, of its files.
        log: by turns: files and bytes of the logs of all tables.
    """

    lakes: dict[int, Lake] = field(default_factory=dict)
    bytes_a_row: dict[str, float] = field(default_factory=dict)
    log: dict[int, dict[str, int]] = field(default_factory=dict)


def turn(day: int) -> Turn:
    """That day's turn."""
    start = FIRST + timedelta(days=day)
    return Turn(FLYWHEEL, start, start + timedelta(days=1))


def build(folder: Path, sizes: Sequence[int], rows: int) -> Made:
    """Lakes of so many turns below ``folder``, each with ``rows`` queries a turn."""
    made, lake, chosen = Made(), open_lake(str(folder / "lake")), random.Random(SEED)
    queries = list(_queries(rows, chosen))
    rewards = _template(folder, REWARDS, _rewards(min(rows, REWARDED), chosen), made)
    same = _template(folder, QUERIES, iter(queries), made)
    # The days that a size's newest turn looks back on are read: they are files of their own, with their own times.
    read = {day for size in sizes for day in range(max(0, size - 1 - LATENESS_DAYS), size)}
    for day in range(max(sizes)):
        own = _template(folder, QUERIES, (_on(day, batch) for batch in queries), made) if day in read else same
        write_turn(lake, day, {QUERIES.name: own, REWARDS.name: rewards})
        if day + 1 in sizes:
            copy = lake if day + 1 == max(sizes) else Lake(_copied(Path(lake.root), folder / f"lake-{day + 1}"))
            made.lakes[day + 1], made.log[day + 1] = copy, log_size(copy)
    return made


def write_turn(lake: Lake, day: int, files: Mapping[str, tuple[Path, int]]) -> None:
    """All that a turn of one shard commits here: its queries, its rewards, and what each stage tells."""
    for table, more in ((QUERIES, {}), (REWARDS, {"shard": 0})):
        commit_file(lake, table, day, files[table.name], **more)
    for row in stage_rows(day):
        lake.write(TURNS, [row], turn=turn(day), run_id=f"r{day}", stage=row["stage"], shard=0)


def commit_file(lake: Lake, table: Table, day: int, file: tuple[Path, int], **partition: Any) -> None:
    """Replace a turn's partition by a file that is written already: all of a write but for the writing."""

    def linked(uri: str, table: Table, batches: Iterable[pa.RecordBatch], values: Mapping[str, Any]) -> AddAction:
        folders = [f"{name}={path_safe(str(values[name]))}" for name in table.partition]
        # Another name each time, as a file has that was written.
        relative = "/".join([*folders, f"part-{random.getrandbits(64):016x}.parquet"])
        path = Path(uri) / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(file[0], path)
        stats = json.dumps({"numRecords": file[1], **(_times(day) if table is QUERIES else {})})
        at = int(datetime.now(UTC).timestamp() * 1000)
        return AddAction(relative, path.stat().st_size, {n: str(values[n]) for n in table.partition}, at, True, stats)

    with mock.patch.object(lake_module, "write_file", linked):
        lake.write_stream(table, iter(()), turn=turn(day), run_id=f"r{day}", **partition)


def stage_rows(day: int) -> list[dict[str, Any]]:
    """What the stages of a turn tell, without flywheel, turn and run."""
    same = {"status": "done", "inputs": [], "output_version": day, "config_digest": "c" * 64, "code_version": "0.1.0"}
    numbers = {"shard": 0, "rows_in": 1000, "rows_out": 1000, "seconds": 55.0, "tokens": 0, "metrics": '{"shards": 1}'}
    at = FIRST + timedelta(days=day + 1)
    return [{**same, **numbers, "stage": stage, "finished_at": at} for stage in STAGES]


def log_size(lake: Lake) -> dict[str, int]:
    """Files and bytes of the logs of all tables."""
    files = [path for path in Path(lake.root).glob("*/_delta_log/**/*") if path.is_file()]
    return {"files": len(files), "bytes": sum(path.stat().st_size for path in files)}


def _template(folder: Path, table: Table, batches: Iterator[pa.RecordBatch], made: Made) -> tuple[Path, int]:
    """A file as the lake writes them, to be linked to, and its rows."""
    action = write_file(str(folder / "template"), table, batches, {name: 0 for name in table.partition})
    assert action is not None
    path = folder / "template" / action.path
    rows = int(json.loads(action.stats)["numRecords"])
    made.bytes_a_row[table.name] = action.size / rows
    return path, rows


def _on(day: int, batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same queries, logged on another day."""
    moved = pc.add(batch.column("received_at"), pa.scalar(timedelta(days=day), pa.duration("us")))
    return batch.set_column(batch.schema.get_field_index("received_at"), batch.schema.field("received_at"), moved)


def _times(day: int) -> dict[str, Any]:
    """What the log tells of a file's times; the days that nobody reads are links to the first one's file."""
    first, last = turn(day).start, turn(day).end - timedelta(seconds=1)
    ends = {"minValues": first, "maxValues": last}
    told = {name: {"received_at": f"{at:%Y-%m-%dT%H:%M:%S.%fZ}"} for name, at in ends.items()}
    return {**told, "nullCount": {"received_at": 0}}


def _copied(root: Path, copy: Path) -> str:
    """A copy whose logs are its own: the lake goes on, and rewrites some of their files."""
    shutil.copytree(
        root, copy, copy_function=lambda old, new: (shutil.copy2 if "_delta_log" in old else os.link)(old, new)
    )
    return str(copy)


def _queries(rows: int, chosen: random.Random) -> Iterator[pa.RecordBatch]:
    """A day's queries: about 40 words each."""
    for first in range(0, rows, 10_000):
        found = [
            {
                **{"flywheel": FLYWHEEL, "turn": "", "run_id": "r", "source": "logs", "event_turn": turn(0).key},
                **{"query_id": f"{chosen.getrandbits(64):016x}", "request_id": f"req-{n:09}", "task": "bench"},
                **{"received_at": FIRST + timedelta(seconds=86_000 * n / rows), "model_version": "bench@3"},
                "messages": [{"role": "user", "content": " ".join(chosen.choices(_WORDS, k=chosen.randint(12, 60)))}],
                **{"response": '{"customer": "Anna"}', "user_hash": f"{chosen.getrandbits(64):016x}"},
                "redactor_version": "1",
            }
            for n in range(first, min(rows, first + 10_000))
        ]
        yield pa.RecordBatch.from_pylist(found, schema=QUERIES.schema)


def _rewards(rows: int, chosen: random.Random) -> Iterator[pa.RecordBatch]:
    found = [
        {
            **{"flywheel": FLYWHEEL, "turn": "", "run_id": "r", "shard": 0, "response_id": f"q{n}:plain:0"},
            **{"query_id": f"q{n}", "scores": [("json_schema", 1.0), ("consensus", chosen.random())]},
            **{"undecided": [], "reward": chosen.random(), "flags": [], "calibrator_version": "c1"},
        }
        for n in range(rows)
    ]
    yield pa.RecordBatch.from_pylist(found, schema=REWARDS.schema)
