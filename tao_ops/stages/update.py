"""``update``: what exploration found is trained into the weights, under the production prompt."""

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tao_ops import champions, exam, lineage, prompts, splits
from tao_ops.errors import DataError, MissingInput
from tao_ops.files import write_json
from tao_ops.models import model_digest, model_facts, model_ref
from tao_ops.records import ModelRef, Split, StageReport
from tao_ops.shards import check_fresh, shards
from tao_ops.stages import Run
from tao_ops.tables import PROMPTS, RESPONSES, REWARDS, Reason

MANIFEST, TRAINING_ROWS = "candidate.json", "training_rows.parquet"


def run(run: Run) -> StageReport:
    """Train a candidate on the best response of each query of the window.

    Writes, below the run's artifacts, ``candidate-<digest>/``: the merged model, the very rows that it was trained on
    and its manifest; it is never overwritten, since an earlier one may be registered. Last comes ``candidate.json``,
    the same manifest, which the stages after this one read.

    Raises:
        MissingInput: ``score`` has not run.
        DataError: too few responses are good enough; nothing was written.
    """
    inputs = {table.name: run.lake.version(table) or 0 for table in (PROMPTS, RESPONSES, REWARDS)}
    turns = _window(run)
    scored, kept_away = _scored(run, turns)
    rows = _best(run, scored)
    least = run.flywheel.update.min_rows
    if len(rows) < least:
        raise DataError(
            f"only {len(rows)} of {len({r['query_id'] for r in scored})} queries have a response with a reward of at "
            f"least {run.flywheel.update.min_reward}, {least} are needed",
            where=run.turn.key,
            mend="add samples or a strategy, widen update.window, or lower update.min_rows",
        )
    champion = champions.champion(run.flywheel, run.database_url, run.settings, run.say)
    kept_from_training = Counter(reason.value for reason in kept_away.values())
    for reason, count in kept_from_training.items():
        run.say(f"{count} prompts of the window are kept from training now: {reason}")
    run.say(f"{len(rows)} rows of {len(turns)} turn(s), from version {champion.version} ({champion.model_version})")
    folder = run.lake.artifacts(run.turn, run.run_id)
    (folder / MANIFEST).unlink(missing_ok=True)
    candidate, metrics = _train(run, champion, rows, folder)
    manifest = _manifest(run, champion, candidate, turns, metrics, inputs)
    write_json(Path(candidate.path) / "manifest.json", manifest)
    write_json(folder / MANIFEST, manifest)
    return StageReport(
        stage="update",
        rows_in=len(scored),
        rows_out=len(rows),
        tokens=int(metrics["tokens"]),
        inputs=inputs,
        metrics={
            "candidate": manifest["model_version"],
            "base": manifest["base"],
            "kept_from_training": dict(kept_from_training),
            **metrics,
        },
    )


def _window(run: Run) -> list[str]:
    """The keys of this turn and of the newest turns before it that hold rewards."""
    have = run.lake.read(REWARDS, columns=["turn"], flywheel=run.turn.flywheel).column("turn").unique().to_pylist()
    if run.turn.key not in have:
        raise MissingInput("no rewards of this turn", where=run.turn.key, mend="run score first")
    before = sorted(key for key in have if key <= run.turn.key)
    return before[-run.flywheel.update.window :]


def _scored(run: Run, turns: Sequence[str]) -> tuple[list[dict[str, Any]], dict[str, Reason]]:
    """Responses of training prompts with their rewards, and the queries that are kept away.

    Of a query in several turns, the newest turn's.
    """
    where: dict[str, Any] = {"flywheel": run.turn.flywheel, "turn": list(turns)}
    train: dict[str, dict[str, Any]] = {}
    for row in sorted(run.lake.read(PROMPTS, **where).to_pylist(), key=lambda row: str(row["turn"])):
        if row["split"] == Split.TRAIN:
            train[row["query_id"]] = row
    kept_away = exam.kept_away(run.lake, run.flywheel, run.turn, train)
    rewards = {(r["turn"], r["response_id"]): r for r in run.lake.read(REWARDS, **where).to_pylist()}
    responses = run.lake.read(RESPONSES, **where).to_pylist()
    _see_that_all_is_scored(run, [r for r in responses if r["turn"] == run.turn.key], rewards)
    scored = []
    for response in responses:
        prompt = train.get(response["query_id"])
        reward = rewards.get((response["turn"], response["response_id"]))
        # Without a value where no scorer could judge the response: nothing is learnt from it.
        if prompt is None or reward is None or reward["reward"] is None or prompt["turn"] != response["turn"]:
            continue
        if prompt["task"] in run.flywheel.tasks and prompt["query_id"] not in kept_away:
            scored.append({**response, "reward": reward["reward"], "prompt": prompt})
    return scored, kept_away


def _see_that_all_is_scored(
    run: Run, responses: Sequence[dict[str, Any]], rewards: Mapping[tuple[str, str], dict[str, Any]]
) -> None:
    """Each shard with training prompts has responses, and each response has a reward; a query may have none."""
    check_fresh(run.lake, run.turn)
    sampled = {response["shard"] for response in responses}
    every = shards(run.lake, run.flywheel, run.turn)
    missing = [shard for shard, prompts in enumerate(every) if prompts and shard not in sampled]
    missing += [r["shard"] for r in responses if (r["turn"], r["response_id"]) not in rewards]
    if missing:
        raise MissingInput(
            f"shard {min(missing)} has responses without a reward, or none",
            where=run.turn.key,
            mend="run generate and score for every shard",
        )


def _best(run: Run, scored: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per query: its best response, if good enough; of equals, the first by id."""
    best: dict[str, dict[str, Any]] = {}
    for row in sorted(scored, key=lambda row: (-row["reward"], str(row["response_id"]))):
        if row["reward"] >= run.flywheel.update.min_reward and row["finish_reason"] == "stop" and row["answer"]:
            best.setdefault(row["query_id"], row)
    return [
        {
            "turn": row["turn"],
            "query_id": row["query_id"],
            "response_id": row["response_id"],
            "task": row["prompt"]["task"],
            "messages": row["prompt"]["messages"],
            "response": row["answer"],
            "reward": row["reward"],
        }
        # By the texts, as exploration: the order shapes the training, and ids depend on an installation's key.
        for row in sorted(
            best.values(), key=lambda row: (splits.messages_digest(row["prompt"]["messages"]), row["query_id"])
        )
    ]


def _train(
    run: Run, champion: ModelRef, rows: Sequence[dict[str, Any]], folder: Path
) -> tuple[ModelRef, dict[str, Any]]:
    from tao_ops.backends import trl_trainer

    production = {task: run.flywheel.prompt(task) for task in run.flywheel.tasks}
    examples = [
        trl_trainer.Example(prompts.production(production[row["task"]], row["messages"]), row["response"])
        for row in rows
    ]
    part = folder / ".candidate"
    shutil.rmtree(part, ignore_errors=True)  # what a killed attempt left
    seed = run.turn.seed(run.flywheel.seed, "update")
    metrics = trl_trainer.raft(champion, examples, run.flywheel.update, seed=seed, folder=part, say=run.say)
    pq.write_table(pa.Table.from_pylist(rows), part / TRAINING_ROWS)
    done = folder / f"candidate-{model_digest(part)}"
    if done.is_dir():
        shutil.rmtree(part)
    else:
        part.rename(done)
    return model_ref(done), {**metrics, "seed": seed, "rows": len(rows)}


def _manifest(
    run: Run,
    champion: ModelRef,
    candidate: ModelRef,
    turns: Sequence[str],
    metrics: dict[str, Any],
    tables: dict[str, int],
) -> dict[str, Any]:
    training_rows = Path(candidate.path) / TRAINING_ROWS
    return {
        **model_facts(candidate).as_dict(),
        "path": candidate.path,
        "base": {"version": champion.version, "model_version": champion.model_version},
        "method": run.flywheel.update.method.value,
        "hyperparameters": json.loads(run.flywheel.update.model_dump_json()),
        "rows": metrics["rows"],
        "seed": metrics["seed"],
        "metrics": metrics,
        "training_rows": str(training_rows),
        "lineage": lineage.facts(run.flywheel, turns, tables, training_rows),
    }
