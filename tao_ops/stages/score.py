"""``score``: every response gets one reward, the probability that it is right, without labels."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tao_ops import story
from tao_ops.errors import DataError, MissingInput
from tao_ops.records import Candidate, Prompt, StageReport
from tao_ops.rewards import Scored
from tao_ops.rewards.calibration import picture
from tao_ops.scoring.labels import scorers_digest
from tao_ops.scoring.models import scoring_models
from tao_ops.scoring.task import Shard, TaskRewards, rows, score_task
from tao_ops.shards import check_fresh, shard_prompts
from tao_ops.stages import Run
from tao_ops.tables import RESPONSES, REWARDS


def run(run: Run) -> StageReport:
    """Score this shard's responses; a query's candidates are scored together.

    Commits ``rewards`` of the turn and shard at once, after a reliability diagram of each calibrated task beside the
    run's other files. A monitor that is past its limit fails the stage; nothing is committed then.

    Raises:
        MissingInput: ``generate`` has not run for this shard.
        ConfigError: a scorer cannot be built.
        DataError: a monitor fails.
        EngineError: a model that a scorer asks cannot be started or reached.
    """
    inputs = {RESPONSES.name: run.lake.version(RESPONSES) or 0}
    check_fresh(run.lake, run.turn, run.shard)
    prompts = {prompt.query_id: prompt for prompt in shard_prompts(run.lake, run.flywheel, run.turn, run.shard)}
    responses = _responses(run, prompts)
    models = scoring_models(run.flywheel, run.database_url, run.settings, run.say)
    shard = Shard(run.lake, run.flywheel, run.turn, models, run.turn.seed(run.flywheel.seed, "score"), run.say)
    done: dict[str, TaskRewards] = {}
    found: list[dict[str, Any]] = []
    for task in run.flywheel.tasks:
        mine = [r for r in responses if prompts[r["query_id"]].task == task]
        if mine:
            asked = {query_id: prompt for query_id, prompt in prompts.items() if prompt.task == task}
            batch = [_candidate(r, prompts[r["query_id"]]) for r in mine]
            scorers = ", ".join(one.name for one in run.flywheel.tasks[task].scorers)
            run.say(f"{task}: {len(mine)} responses to {len({r['query_id'] for r in mine})} queries, by {scorers}")
            done[task] = score_task(shard, task, batch, asked)
            found += rows(done[task], mine)
    _tell(run, done)
    _see_that_none_fails(run, done)
    version = run.lake.write(REWARDS, found, turn=run.turn, run_id=run.run_id, shard=run.shard)
    return StageReport(
        stage="score",
        rows_in=len(responses),
        rows_out=len(responses),
        inputs=inputs,
        output_version=version,
        metrics={**_metrics(done), "scorers": {task: scorers_digest(run.flywheel, task) for task in done}},
    )


def _responses(run: Run, prompts: Mapping[str, Prompt]) -> list[dict[str, Any]]:
    responses: list[dict[str, Any]] = run.lake.read(
        RESPONSES,
        columns=["response_id", "query_id", "strategy", "answer", "finish_reason"],
        flywheel=run.turn.flywheel,
        turn=run.turn.key,
        shard=run.shard,
    ).to_pylist()
    # In one order, whatever files the table has them in.
    responses.sort(key=lambda response: str(response["response_id"]))
    where = f"shard {run.shard}"
    if prompts and not responses:
        raise MissingInput("no responses", where=where, mend="run generate again, or raise generate.budget")
    # A query may have none: a short budget reaches the likeliest first.
    if not {r["query_id"] for r in responses} <= set(prompts):
        raise MissingInput("the responses do not belong to these prompts", where=where, mend="run generate again")
    return responses


def _candidate(response: Mapping[str, Any], prompt: Prompt) -> Candidate:
    return Candidate(prompt.query_id, prompt.text, response["answer"], response["strategy"], prompt.context)


def _tell(run: Run, done: Mapping[str, TaskRewards]) -> None:
    """The log's lines on each task, and a picture of each calibrator's reliability."""
    for task, rewards in done.items():
        run.say(f"{task}: {rewards.calibration.sentence()}")
        for name, reasons in _undecided(rewards).items():
            told = ", ".join(f"{count} {reason}" for reason, count in _kinds(reasons).items())
            run.say(f"{task}/{name} could not decide: {told}")
        if fallen := dict.fromkeys(name for name, _ in rewards.probes.fallen if name not in rewards.barred):
            run.say(f"warning: {task}: answers that deserve nothing are paid for; by: {', '.join(fallen)}")
        with story.folded(run.say, f"{task}: probes"):
            for line in rewards.probes.sentences():
                run.say(f"{task}: {line}")
        for line in rewards.watched.sentences():
            run.say(story.levelled(line, task))
        if (report := rewards.calibration.report) is not None and report.n:
            file = _picture(run, task)
            file.parent.mkdir(parents=True, exist_ok=True)
            picture.draw(report, file, task=task)
            run.say(f"{task}: {file}")


def _kinds(reasons: Mapping[str, int]) -> Mapping[str, int]:
    """Reasons without what they quote, which may be of a response."""
    found: Counter[str] = Counter()
    for reason, count in reasons.items():
        found[re.split(r"[:'\"`]", reason)[0].strip() or "other"] += count
    return found


def _picture(run: Run, task: str) -> Path:
    return Path(run.lake.artifacts(run.turn, run.run_id)) / f"reliability-{task}-{run.shard}.png"


def _see_that_none_fails(run: Run, done: Mapping[str, TaskRewards]) -> None:
    for task, rewards in done.items():
        for finding in rewards.watched.failures():
            raise DataError(finding, where=f"{task}, turn {run.turn.key}", mend=f"see tasks.{task}.monitors")


def _metrics(done: Mapping[str, TaskRewards]) -> dict[str, Any]:
    scored = [one for rewards in done.values() for one in rewards.scored]
    best: dict[str, float] = {}
    for rewards in done.values():
        for query_id, value in rewards.best.items():
            best[query_id] = max(best.get(query_id, 0.0), value)
    decided = [one.reward for one in scored if one.reward is not None]
    return {
        "mean_reward": float(np.mean(decided)) if decided else None,
        "mean_best_reward": float(np.mean(list(best.values()))) if best else None,
        "queries_without_reward": sum(value == 0.0 for value in best.values()),
        "without_reward": len(scored) - len(decided),
        "mean_scores": _mean_scores(scored),
        "flags": dict(Counter(flag for one in scored for flag in one.flags)),
        "undecided": {task: _undecided(rewards) for task, rewards in done.items()},
        "calibration": {task: rewards.calibration.as_dict() for task, rewards in done.items()},
        "probes": {task: rewards.probes.as_dict() for task, rewards in done.items()},
        "barred": {task: sorted(rewards.barred) for task, rewards in done.items()},
        "monitors": {task: rewards.watched.as_dict() for task, rewards in done.items()},
    }


def _mean_scores(scored: Sequence[Scored]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for one in scored:
        for name, value in one.scores.items():
            values.setdefault(name, []).append(value)
    return {name: float(np.mean(each)) for name, each in values.items()}


def _undecided(rewards: TaskRewards) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for one in rewards.scored:
        for name, reason in one.undecided.items():
            found.setdefault(name, Counter())[reason] += 1
    return {name: dict(reasons.most_common()) for name, reasons in found.items()}
