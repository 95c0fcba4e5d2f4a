"""``update``: what exploration found is trained into the weights, under the production prompt."""

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tao_ops import champions, exam, lineage, prompts, splits, trained_rows
from tao_ops.backends.trl_trainer.job import Job, Question
from tao_ops.config import Method, Start, StrategyKind
from tao_ops.errors import DataError, MissingInput
from tao_ops.files import read_json, replaced, write_json
from tao_ops.models import model_digest, model_facts, model_ref
from tao_ops.records import ModelRef, Split, StageReport
from tao_ops.scoring.models import scoring_models
from tao_ops.shards import check_fresh, shards
from tao_ops.stages import Run
from tao_ops.tables import PROMPTS, RESPONSES, REWARDS, Reason
from tao_ops.updating import balance, process
from tao_ops.updating.curves import Curves
from tao_ops.updating.examples import examples
from tao_ops.updating.rewarder import FlywheelRewards
from tao_ops.updating.selection import Row, select, shortage

MANIFEST, TRAINING_ROWS = "candidate.json", "training_rows.parquet"
_BEGUN, _PHASE = ".update", "phase.json"
"""What is being made lies in one folder, beside the rows that it is trained on, until the candidate is whole."""


def run(run: Run) -> StageReport:
    """Train a candidate on the scored responses of the window, by ``update.method``.

    Writes, below the run's artifacts, ``candidate-<digest>/``: the merged model, the very rows that it was trained on
    and its manifest; it is never overwritten, since an earlier one may be registered. Last comes ``candidate.json``,
    the same manifest, which the stages after this one read.

    A run that was killed goes on from its last checkpoint, and makes the same candidate. Until the candidate is whole
    all lies in ``.update/``, the rows first, so that an erasure finds it.

    Raises:
        MissingInput: ``score`` has not run.
        DataError: too few queries have something to learn from by a method; nothing was written.
        ModelError: checkpoints of another model lie there.
        EngineError: training failed, or no checkpoint was within the limits; no candidate is left.
    """
    inputs = {table.name: run.lake.version(table) or 0 for table in (PROMPTS, RESPONSES, REWARDS)}
    turns = _window(run)
    scored, kept_away = _scored(run, turns)
    config = run.flywheel.update
    methods = [config.method] if config.then is None else [config.method, Method(config.then)]
    rows = {method: select(method, scored, config) for method in methods}
    _see_that_there_is_enough(run, rows, len({row["query_id"] for row in scored}))
    need = balance.needs(scored, _production_strategies(run))
    rows = {method: balance.balanced(mine, need, config.balance) for method, mine in rows.items()}
    champion = champions.champion(run.flywheel, run.database_url, run.settings, run.say)
    base = (
        champion if config.start is Start.CHAMPION else model_ref(champions.base_model(run.flywheel, run.settings), 0)
    )
    kept_from_training = Counter(reason.value for reason in kept_away.values())
    for reason, count in kept_from_training.items():
        run.say(f"{count} prompts of the window are kept from training now: {reason}")
    folder = run.lake.artifacts(run.turn, run.run_id)
    (folder / MANIFEST).unlink(missing_ok=True)
    candidate, metrics = _train(run, base, champion, rows, need, _rewards(run, scored), folder)
    manifest = _manifest(run, base, candidate, turns, metrics, inputs)
    write_json(Path(candidate.path) / "manifest.json", manifest)
    write_json(folder / MANIFEST, manifest)
    return StageReport(
        stage="update",
        rows_in=len(scored),
        rows_out=metrics["rows"],
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

    Of a query in several turns, the newest turn's. A reward is None where no scorer could judge the response: nothing
    is learnt from it, but consensus counts it.
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
        if prompt is None or reward is None or prompt["turn"] != response["turn"]:
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


def _see_that_there_is_enough(run: Run, rows: Mapping[Method, Sequence[Row]], asked: int) -> None:
    for method, mine in rows.items():
        why = shortage(method, mine, asked, run.flywheel.update)
        if why is not None:
            raise DataError(
                why,
                where=run.turn.key,
                mend="add samples or a strategy, widen update.window, or lower update.min_reward, margin or min_rows",
            )


def _production_strategies(run: Run) -> dict[str, set[str]]:
    """By task, the strategies that ask by the production prompt alone."""
    tasks = run.flywheel.tasks.items()
    return {name: {one.name for one in task.strategies if one.kind is StrategyKind.PLAIN} for name, task in tasks}


def _train(
    run: Run,
    base: ModelRef,
    champion: ModelRef,
    rows: Mapping[Method, Sequence[Row]],
    need: Mapping[str, float],
    rewards: FlywheelRewards,
    folder: Path,
) -> tuple[ModelRef, dict[str, Any]]:
    """Train by each method in turn, the second on what the first made."""
    seed = run.turn.seed(run.flywheel.seed, "update")
    begun = folder / _BEGUN
    part = begun / "candidate"
    _write_rows(begun, rows)
    told: dict[str, dict[str, Any]] = {}
    start = base
    with Curves(run, folder) as curves:
        for method, mine in rows.items():
            last = len(told) == len(rows) - 1
            made = part if last else begun / method.value
            job = _job(run, method, start, champion, mine, seed, made)
            tasks = balance.told(mine, need, run.flywheel.tasks)
            _tell(run, job, tasks)
            metrics = _phase(run, job, rewards, curves, last=last)
            curves.kept(method, int(metrics["kept_step"]))
            told[method.value] = {**metrics, "tasks": _with_holdout(tasks, job.holdout, metrics)}
            start = model_ref(made)
    shutil.copyfile(begun / TRAINING_ROWS, part / TRAINING_ROWS)
    done = folder / f"candidate-{model_digest(part)}"
    if not done.is_dir():
        part.rename(done)
    trained_rows.discard(begun)
    return model_ref(done), {
        **told[method.value],
        "tokens": sum(int(one["tokens"]) for one in told.values()),
        "methods": told,
        "seed": seed,
        "rows": sum(map(len, rows.values())),
        "queries": len({row["query_id"] for mine in rows.values() for row in mine}),
    }


def _write_rows(begun: Path, rows: Mapping[Method, Sequence[Row]]) -> None:
    """The rows, before anything learns from them; what was begun on others is removed."""
    every = pa.Table.from_pylist([{**row, "method": method.value} for method, mine in rows.items() for row in mine])
    path = begun / TRAINING_ROWS
    if path.is_file() and pq.read_table(path).equals(every):
        return
    shutil.rmtree(begun, ignore_errors=True)
    begun.mkdir(parents=True)
    with replaced(path) as fresh:
        pq.write_table(every, fresh)


def _tell(run: Run, job: Job, tasks: Mapping[str, Mapping[str, Any]]) -> None:
    """What is trained on, and a line on each task where there are several."""
    base, queries = job.base, sum(told["queries"] for told in tasks.values())
    version = "" if base.version is None else f", version {base.version}"
    run.say(
        f"{job.method.value}: {len(job.examples)} examples of {queries} queries, from {base.model_version}{version}"
    )
    for name, told in tasks.items() if len(tasks) > 1 else ():
        need = "unknown" if told["need"] is None else f"{told['need']:.2f}"
        run.say(
            f"{name}: {told['examples']} examples of {told['queries']} queries in an epoch, "
            f"{told['share']:.0%} of all; need {need}"
        )


def _with_holdout(
    tasks: Mapping[str, Mapping[str, Any]], holdout: Sequence[Question], metrics: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Each task's mean reward on the holdout, before training and of the checkpoint that was kept; None if unknown."""
    measured = {one["step"]: one["rewards"] for one in metrics["holdout"]}
    found = {}
    for name, told in tasks.items():
        mine = [i for i, question in enumerate(holdout) if question.task == name]
        found[name] = {
            **told,
            "holdout_queries": len(mine),
            "holdout_reward_before": _mean(measured.get(0, ()), mine),
            "holdout_reward": _mean(measured.get(metrics["kept_step"], ()), mine),
        }
    return found


def _mean(rewards: Sequence[float | None], chosen: Sequence[int]) -> float | None:
    known = [reward for i in chosen if rewards and (reward := rewards[i]) is not None]
    return sum(known) / len(known) if known else None


def _phase(run: Run, job: Job, rewards: FlywheelRewards, curves: Curves, *, last: bool) -> dict[str, Any]:
    """One method's training; what an attempt before this one had finished is not trained again."""
    done = job.folder / _PHASE
    if not last and done.is_file():
        before = read_json(done)
        if before["run"] == job.fingerprint and before["base"] == job.base.model_version:
            run.say(f"{job.method.value} was done by an earlier attempt")
            return dict(before["metrics"])
        # What comes after it was begun on a model that is no more.
        for other in job.folder.parent.glob("*.trainer"):
            shutil.rmtree(other)
    shutil.rmtree(job.folder, ignore_errors=True)  # what a killed attempt left
    several = job.config.accelerate
    metrics = process.train(
        job,
        rewards,
        accelerate=None if several is None else run.flywheel.file(several),
        say=run.say,
        sink=curves.of(job.method),
    )
    if not last:
        write_json(done, {"run": job.fingerprint, "base": job.base.model_version, "metrics": metrics})
    return metrics


def _job(
    run: Run,
    method: Method,
    base: ModelRef,
    champion: ModelRef,
    rows: Sequence[Row],
    seed: int,
    folder: Path,
) -> Job:
    production = {task: run.flywheel.prompt(task) for task in run.flywheel.tasks}
    longest = {name: task.max_tokens for name, task in run.flywheel.tasks.items()}
    return Job(
        base=base,
        champion=champion,
        method=method,
        config=run.flywheel.update,
        examples=examples(method, rows, production, longest),
        holdout=_holdout(run, production, longest),
        seed=seed,
        folder=folder,
        scratch=folder.with_name(f"{method.value}.trainer"),
    )


def _holdout(run: Run, production: Mapping[str, str], longest: Mapping[str, int]) -> list[Question]:
    """The newest queries of the holdout, up to this turn, as many of each task; of one turn, by their texts' digests.

    Like the selection, it is the same on every installation.
    """
    where: dict[str, Any] = {"flywheel": run.turn.flywheel, "split": Split.HOLDOUT.value}
    rows = [row for row in run.lake.read(PROMPTS, **where).to_pylist() if row["turn"] <= run.turn.key]
    rows.sort(key=lambda row: (row["turn"], splits.messages_digest(row["messages"])), reverse=True)
    share = -(-run.flywheel.update.watch.queries // len(run.flywheel.tasks))
    found: dict[str, dict[str, Question]] = {task: {} for task in run.flywheel.tasks}
    for row in rows:
        mine = found.get(row["task"])
        if mine is not None and len(mine) < share:
            asked = prompts.production(production[row["task"]], row["messages"])
            mine.setdefault(row["query_id"], Question(asked, row["task"], row["query_id"], longest[row["task"]]))
    return [question for task in found.values() for question in task.values()]


def _rewards(run: Run, scored: Sequence[Mapping[str, Any]]) -> FlywheelRewards:
    pools: dict[str, list[tuple[str, str]]] = {}
    for row in scored:
        pools.setdefault(row["query_id"], []).append((row["strategy"], row["answer"]))
    models = scoring_models(run.flywheel, run.database_url, run.settings, run.say)
    return FlywheelRewards(run.lake, run.flywheel, run.turn, models, pools)


def _manifest(
    run: Run,
    base: ModelRef,
    candidate: ModelRef,
    turns: Sequence[str],
    metrics: dict[str, Any],
    tables: dict[str, int],
) -> dict[str, Any]:
    training_rows = Path(candidate.path) / TRAINING_ROWS
    return {
        **model_facts(candidate).as_dict(),
        "path": candidate.path,
        "base": {"version": base.version, "model_version": base.model_version},
        "method": run.flywheel.update.method.value,
        "hyperparameters": json.loads(run.flywheel.update.model_dump_json()),
        "rows": metrics["rows"],
        "seed": metrics["seed"],
        "metrics": metrics,
        "training_rows": str(training_rows),
        "lineage": lineage.facts(run.flywheel, turns, tables, training_rows),
    }
