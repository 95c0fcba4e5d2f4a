"""What the scorers fell for whose rewards a candidate was trained on: ``score`` tries the probes, the gate looks."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tao_ops.benchmarks.reports import Fall
from tao_ops.lake import Lake
from tao_ops.rewards.probes.verdicts import COMBINED, FEWEST
from tao_ops.tables import TURNS


def falls(lake: Lake, flywheel: str, turns: Sequence[str]) -> list[Fall]:
    """By turn, task, scorer and kind of probe the worst of all shards, as ``score`` recorded it.

    A scorer that was barred has no part in the rewards, and where one was, the combined reward that was probed is not
    the one that was paid: neither counts.

    Args:
        turns: keys of the turns whose rewards were learnt from.
    """
    columns = ["turn", "shard", "metrics"]
    rows = lake.read(TURNS, columns=columns, flywheel=flywheel, stage="score", turn=list(turns)).to_pylist()
    worst: dict[tuple[str, str, str, str], Fall] = {}
    for row in sorted(rows, key=lambda row: (row["turn"], row["shard"])):
        metrics = json.loads(row["metrics"])
        for task, told in metrics.get("probes", {}).items():
            for fall, kind in _of_shard(task, row["turn"], told, metrics.get("barred", {}).get(task, ())):
                key = (fall.turn, task, fall.scorer, kind)
                if key not in worst or fall.share > worst[key].share:
                    worst[key] = fall
    return [worst[key] for key in sorted(worst)]


def _of_shard(task: str, turn: str, told: Mapping[str, Any], barred: Sequence[str]) -> list[tuple[Fall, str]]:
    """Each with its kind of probe."""
    found = []
    for scorer, kind in told.get("fallen", ()):
        if scorer in barred or (barred and scorer == COMBINED):
            continue
        tried = [row for row in told["rows"] if (row["scorer"], row["kind"]) == (scorer, kind)]
        tried = [row for row in tried if row["share"] is not None and row["telling"] >= FEWEST]
        row = max(tried, key=lambda row: (row["share"], row["variant"]))
        probe = f"{kind} ({row['variant']})" if row["variant"] else kind
        found.append((Fall(task, scorer, probe, row["share"], row["telling"], turn), kind))
    return found
