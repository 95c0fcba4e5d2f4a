"""All that makes a candidate, written down before it is trained: rows, prompts, strategies, scorers, engine, key."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tao_ops import backends, prompts
from tao_ops.config import Flywheel
from tao_ops.errors import EngineError
from tao_ops.lake import Lake
from tao_ops.lineage.rows import digest
from tao_ops.privacy import keyed_hash
from tao_ops.scoring.labels import scorers_digest
from tao_ops.settings import Settings
from tao_ops.tables import CLUSTERS, PROMPTS, QUARANTINE, QUERIES, RESPONSES, REWARDS, TURNS
from tao_ops.turn import Turn

HELD = (QUERIES, PROMPTS, RESPONSES, REWARDS)
"""Tables whose rows a candidate is made of, each made of the one before it."""
_METRICS = ("model_version", "seed", "identity", "usage")


def versions(lake: Lake) -> dict[str, int]:
    """The newest version of each table that a turn's stages read."""
    return {table.name: lake.version(table) or 0 for table in (*HELD, CLUSTERS, QUARANTINE, TURNS)}


def sources(
    flywheel: Flywheel, lake: Lake, turns: Sequence[str], tables: Mapping[str, int], settings: Settings
) -> dict[str, Any]:
    """What a candidate of these turns is made of.

    Args:
        turns: keys of the window's turns.
        tables: of :func:`versions`.

    Raises:
        LakeError: a table cannot be read at its version.
    """
    rows: dict[str, dict[str, Any]] = {}
    strategies: dict[str, Any] = {}
    calibrators: dict[str, Any] = {}
    for turn in turns:
        rows[turn] = {}
        for table in HELD:
            found = lake.read(table, version=tables[table.name], flywheel=flywheel.name, turn=turn)
            rows[turn][table.name] = {"version": tables[table.name], **digest(found)}
            if table is RESPONSES:
                strategies[turn] = _counts(found, "strategy", "strategy_version")
            if table is REWARDS:
                calibrators[turn] = _counts(found, "calibrator_version")
    return {
        "rows": rows,
        "strategies": strategies,
        "calibrators": calibrators,
        "prompts": {task: prompts.digest(flywheel.prompt(task)) for task in flywheel.tasks},
        "scorers": {
            name: {
                "digest": scorers_digest(flywheel, name),
                "config": [json.loads(one.model_dump_json()) for one in task.scorers],
            }
            for name, task in flywheel.tasks.items()
        },
        "engine": _engine(flywheel),
        "stages": _stages(lake, flywheel.name, turns),
        "hash_key": key_check(settings),
    }


def key_check(settings: Settings) -> str | None:
    """By which another key of the hashes is noticed; None where there is none."""
    return keyed_hash(settings.hash_key.encode(), "lineage", "which key")[:16] if settings.hash_key else None


def seeds(flywheel: Flywheel, turn: Turn, shards: int) -> dict[str, Any]:
    """The seeds of a turn's stages, all of which follow from the flywheel's."""
    of = flywheel.seed
    return {
        "flywheel": of,
        "generate": [turn.seed(of, "generate", str(shard)) for shard in range(shards)],
        "score": turn.seed(of, "score"),
        "update": turn.seed(of, "update"),
    }


def _counts(rows: Any, *columns: str) -> list[dict[str, Any]]:
    """How many rows have each value of the columns."""
    values = zip(*(rows.column(name).to_pylist() for name in columns), strict=True)
    return [
        {**dict(zip(columns, one, strict=True)), "rows": count}
        for one, count in sorted(Counter(values).items(), key=lambda pair: tuple(map(str, pair[0])))
    ]


def _engine(flywheel: Flywheel) -> dict[str, Any]:
    try:
        name: str | None = backends.engine_name()
    except EngineError:  # all is sampled from servers
        name = None
    server = flywheel.generate.server
    told = None if server is None else {"url": server.url, "model": server.model}
    return {"name": name, "settings": flywheel.engine.model_dump(mode="json"), "server": told}


def _stages(lake: Lake, flywheel: str, turns: Sequence[str]) -> list[dict[str, Any]]:
    """What the stages before told of the window's turns: by which run, code and configuration, on which versions."""
    columns = ("turn", "stage", "shard", "run_id", "code_version", "config_digest", "output_version", "inputs")
    found = lake.read(TURNS, flywheel=flywheel, turn=list(turns), stage=["ingest", "validate", "generate", "score"])
    told = []
    for row in sorted(found.to_pylist(), key=lambda row: (row["turn"], row["finished_at"], row["shard"])):
        metrics = json.loads(row["metrics"])
        kept = {name: row[name] for name in columns} | {"inputs": dict(row["inputs"])}
        told.append({**kept, **{name: metrics[name] for name in _METRICS if name in metrics}})
    return told
