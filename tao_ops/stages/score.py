"""``score``: every response gets one reward in [0, 1], without labels."""

from typing import Any

import numpy as np

from tao_ops import rewards
from tao_ops.errors import MissingInput
from tao_ops.records import Candidate, StageReport
from tao_ops.rewards import Scored
from tao_ops.rewards.combine import VERSION
from tao_ops.shards import check_fresh, shard_prompts
from tao_ops.stages import Run
from tao_ops.tables import RESPONSES, REWARDS


def run(run: Run) -> StageReport:
    """Score this shard's responses; a query's candidates are scored together.

    Raises:
        MissingInput: ``generate`` has not run for this shard.
    """
    inputs = {RESPONSES.name: run.lake.version(RESPONSES) or 0}
    check_fresh(run.lake, run.turn, run.shard)
    prompts = {prompt.query_id: prompt for prompt in shard_prompts(run.lake, run.flywheel, run.turn, run.shard)}
    responses = run.lake.read(
        RESPONSES,
        columns=["response_id", "query_id", "answer", "finish_reason"],
        flywheel=run.turn.flywheel,
        turn=run.turn.key,
        shard=run.shard,
    ).to_pylist()
    where = f"shard {run.shard}"
    if prompts and not responses:
        raise MissingInput("no responses", where=where, mend="run generate again, or raise generate.budget")
    # A query may have none: a short budget reaches the likeliest first.
    if not {r["query_id"] for r in responses} <= set(prompts):
        raise MissingInput("the responses do not belong to these prompts", where=where, mend="run generate again")
    rows: list[dict[str, Any]] = []
    for task_name, task in run.flywheel.tasks.items():
        mine = [r for r in responses if prompts[r["query_id"]].task == task_name]
        batch = [Candidate(r["query_id"], prompts[r["query_id"]].text, r["answer"]) for r in mine]
        rows += [_row(r, scored) for r, scored in zip(mine, rewards.score(task.scorers, batch), strict=True)]
    version = run.lake.write(REWARDS, rows, turn=run.turn, run_id=run.run_id, shard=run.shard)
    return StageReport(
        stage="score",
        rows_in=len(responses),
        rows_out=len(rows),
        inputs=inputs,
        output_version=version,
        metrics=_metrics(rows),
    )


def _row(response: dict[str, Any], scored: Scored) -> dict[str, Any]:
    flags = [] if response["answer"] else ["empty"]
    if response["finish_reason"] == "length":
        flags.append("truncated")
    return {
        "response_id": response["response_id"],
        "query_id": response["query_id"],
        "scores": list(scored.scores.items()),
        "reward": scored.reward,
        "flags": flags,
        "calibrator_version": VERSION,
    }


def _metrics(rows: list[dict[str, Any]]) -> dict[str, Any]:
    best: dict[str, float] = {}
    for row in rows:
        best[row["query_id"]] = max(best.get(row["query_id"], 0.0), row["reward"])
    return {
        "mean_reward": float(np.mean([r["reward"] for r in rows])) if rows else None,
        "mean_best_reward": float(np.mean(list(best.values()))) if best else None,
        "queries_without_reward": sum(value == 0.0 for value in best.values()),
        "mean_scores": {
            name: float(np.mean([dict(r["scores"])[name] for r in rows])) for name in dict(rows[0]["scores"])
        }
        if rows
        else {},
    }
