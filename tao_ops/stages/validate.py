"""``validate``: ``queries`` become ``prompts``: clean, each once with its count, split, none of them an exam item."""

from collections import Counter
from typing import Any

from tao_ops import expectations, splits
from tao_ops.benchmarks.item_set import load_item_set
from tao_ops.errors import DataError, MissingInput
from tao_ops.records import Split, StageReport
from tao_ops.stages import Run
from tao_ops.tables import PROMPTS, QUARANTINE, QUERIES, RESPONSES, REWARDS, TURNS, Reason


def run(run: Run) -> StageReport:
    """Check the turn's queries, merge equal ones, split them, and plan the shards.

    Raises:
        MissingInput: ``ingest`` has not run.
        DataError: an expectation about the whole table failed, or nothing is left to train on; nothing was written.
    """
    inputs = {QUERIES.name: run.lake.version(QUERIES) or 0}
    rows = run.lake.read(QUERIES, flywheel=run.turn.flywheel, turn=run.turn.key).to_pylist()
    if not rows:
        raise MissingInput("no queries of this turn", where=run.turn.key, mend="run ingest first")
    prompts: dict[str, dict[str, Any]] = {}
    quarantine: list[dict[str, Any]] = []
    for task in run.flywheel.tasks:
        mine = [row for row in rows if row["task"] == task]
        quarantine += _check(run, task, mine, prompts)
    splits_seen = Counter(p["split"] for p in prompts.values())
    if not splits_seen[Split.TRAIN]:
        raise DataError(
            f"no prompt to train on is left of {len(rows)} queries",
            where=run.turn.key,
            mend="see what the queries of the day are, and what the suite and validate.holdout keep away",
        )
    shards = min(run.flywheel.generate.shards, len(prompts))
    run.lake.write(QUARANTINE, quarantine, turn=run.turn, run_id=run.run_id, stage="validate")
    version = run.lake.write(PROMPTS, prompts.values(), turn=run.turn, run_id=run.run_id)
    _drop_stale_shards(run, shards)
    return StageReport(
        stage="validate",
        rows_in=len(rows),
        rows_out=len(prompts),
        inputs=inputs,
        output_version=version,
        metrics={
            "quarantine": dict(Counter(row["reason"] for row in quarantine)),
            "merged": len(rows) - len(prompts) - len(quarantine),
            "train": splits_seen[Split.TRAIN],
            "holdout": splits_seen[Split.HOLDOUT],
            "shards": shards,
        },
    )


def _check(run: Run, task: str, rows: list[dict[str, Any]], prompts: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the good rows to ``prompts``; return the others for quarantine."""
    config = run.flywheel.tasks[task]
    item_sets = [load_item_set(run.flywheel.file(b.path), b.name) for b in config.benchmarks]
    exam = splits.wall(item_sets)
    if not rows:
        return []
    checked = [{"text": r["messages"][-1]["content"], "turns": len(r["messages"])} for r in rows]
    failed, failed_tables = expectations.failing_rows(run.flywheel.file(config.expectations), checked)
    if failed_tables:
        raise DataError(
            f"expectation failed: {failed_tables[0]}",
            where=f"{config.expectations}, {run.turn.key}",
            mend="see what is wrong with the day's queries, or mend the expectation",
        )
    refused = []
    for i, row in enumerate(rows):
        text = checked[i]["text"]
        cluster = splits.cluster(str(text))
        if i in failed:
            refused.append(_refuse(row, Reason.EXPECTATION, f"{failed[i]}: {text}"))
        elif cluster in exam:
            refused.append(_refuse(row, Reason.BENCHMARK_ITEM, str(text)))
        elif row["query_id"] in prompts:
            prompts[row["query_id"]]["count"] += 1
        else:
            prompts[row["query_id"]] = {
                "query_id": row["query_id"],
                "task": task,
                "messages": row["messages"],
                "count": 1,
                "cluster": cluster,
                "split": splits.split(cluster, run.flywheel.validate_.holdout).value,
            }
    return refused


def _refuse(row: dict[str, Any], reason: Reason, excerpt: str) -> dict[str, Any]:
    return {"source": row["source"], "position": row["request_id"], "reason": reason.value, "excerpt": excerpt[:200]}


def _drop_stale_shards(run: Run, shards: int) -> None:
    """An earlier run may have had more shards than this one will write."""
    for table in (RESPONSES, REWARDS):
        have = run.lake.read(table, columns=["shard"], flywheel=run.turn.flywheel, turn=run.turn.key)
        stale = {s for s in have.column("shard").to_pylist() if s >= shards}
        if stale:
            run.lake.delete(table, turn=run.turn, shard=stale)
            run.lake.delete(TURNS, turn=run.turn, shard=stale)
