"""``generate``: explore better answers than the production prompt gives, sampled from the champion."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from tao_ops import backends, champions, exploration, lineage
from tao_ops.config import Flywheel
from tao_ops.errors import DataError, MissingInput
from tao_ops.exploration import Budget, Explored, Found, Response, Yield, picture
from tao_ops.exploration.bootstrap import bootstrapped
from tao_ops.exploration.checks import check_exploration
from tao_ops.models import adapter_digest
from tao_ops.records import ModelRef, Prompt, StageReport
from tao_ops.scoring.calibrating import newest
from tao_ops.scoring.labels import same_scorers
from tao_ops.shards import shards
from tao_ops.stages import Run
from tao_ops.tables import PROMPTS, RESPONSES, TURNS


@dataclass(frozen=True)
class _Plan:
    """All that decides what a shard's responses will be."""

    champion: ModelRef
    model_version: str
    prompts: Sequence[Prompt]
    tasks: Mapping[str, Explored]
    prior: Mapping[str, Mapping[str, Yield]]
    budget: Budget
    seed: int
    identity: str
    """The same for two attempts that would sample the same."""


def run(run: Run) -> StageReport:
    """Sample responses for this shard's training prompts by the strategies of their task, within the budget.

    Reads ``prompts`` of the turn and, of earlier turns, the strategies' yields; commits ``responses`` of the turn and
    shard at once. Where the lake holds what another attempt sampled from the same model, prompts and configuration,
    that is taken.

    Raises:
        MissingInput: ``validate`` has not run.
        ConfigError: a strategy cannot be used; no engine was started.
        DataError: nothing could be sampled within budget and context; nothing was committed.
        EngineError: the engine failed; nothing was committed.
    """
    inputs = {PROMPTS.name: run.lake.version(PROMPTS) or 0}
    plan = _plan(run)
    run.say(f"{len(plan.prompts)} prompts, model {plan.model_version}, {run.flywheel.generate.policy}{_bounds(plan)}")
    kept = _kept(run, plan)
    rows, metrics = kept or _explore(run, plan)
    _picture(run, metrics)
    version = run.lake.write(RESPONSES, rows, turn=run.turn, run_id=run.run_id, shard=run.shard)
    return StageReport(
        stage="generate",
        rows_in=len(plan.prompts),
        rows_out=len(rows),
        tokens=metrics["tokens"],
        inputs=inputs,
        output_version=version,
        metrics={**metrics, "reused": kept is not None},
    )


def _plan(run: Run) -> _Plan:
    flywheel = run.flywheel
    check_exploration(flywheel)
    every = shards(run.lake, flywheel, run.turn)
    prompts = every[run.shard] if run.shard < len(every) else []
    if unknown := sorted({prompt.task for prompt in prompts} - set(flywheel.tasks)):
        raise MissingInput(f"prompts of a task {unknown[0]!r} that the YAML has no more", mend="run validate again")
    champion = champions.champion(flywheel, run.database_url, run.settings, run.say)
    seed = run.turn.seed(flywheel.seed, "generate", str(run.shard))
    tasks = {name: _explored(run, name) for name in flywheel.tasks}
    prior = _prior(run)
    budget = Budget.share(flywheel.generate.budget, len(prompts), sum(map(len, every)))
    model_version = _model_version(flywheel, champion)
    told = {
        "code": lineage.code_version(),
        "model": model_version,
        "engine": flywheel.generate.server.model if flywheel.generate.server else backends.engine_name(),
        "configs": [flywheel.engine.model_dump(mode="json"), flywheel.generate.model_dump(mode="json")],
        "tasks": {name: _identity(flywheel.tasks[name].model_dump(mode="json"), tasks[name]) for name in tasks},
        "min_reward": flywheel.update.min_reward,
        "prior": exploration.told(prior),
        "seed": seed,
        "prompts": [prompt.query_id for prompt in prompts],
        "budget": [budget.samples, budget.tokens],
    }
    identity = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
    return _Plan(champion, model_version, prompts, tasks, prior, budget, seed, identity)


def _bounds(plan: _Plan) -> str:
    """What the shard may spend, as the log says it."""
    bounds = {"samples": plan.budget.samples, "tokens": plan.budget.tokens}
    told = " and ".join(f"{most:,} {what}" for what, most in bounds.items() if most is not None)
    return f", at most {told}" if told else ""


def _model_version(flywheel: Flywheel, champion: ModelRef) -> str:
    """What the responses are of: the server's model, or the champion with its adapter."""
    config = flywheel.generate
    if config.server is not None:
        return f"server:{config.server.model}"
    if config.adapter is not None:
        return f"{champion.model_version}+{adapter_digest(flywheel.file(config.adapter))}"
    return champion.model_version


def _explored(run: Run, task: str) -> Explored:
    # The order of examples is the same in all shards of a turn, so that shards don't change what is sampled.
    order = run.turn.seed(run.flywheel.seed, "strategies")
    examples = bootstrapped(run.lake, run.flywheel, run.turn, task)
    calibrator = newest(run.lake, run.turn.flywheel, task, same_scorers(run.lake, run.flywheel, run.turn, task))
    found = exploration.explored(run.flywheel, task, seed=order, bootstrapped=examples, calibrator=calibrator)
    there = {way.name for way in found.ways}
    for one in run.flywheel.tasks[task].strategies:
        if one.name not in there:
            run.say(f"{task}/{one.name}: no example of earlier turns is good enough yet, it is left out")
    return found


def _identity(config: Mapping[str, Any], task: Explored) -> list[Any]:
    kept = {key: config[key] for key in ("scorers", "max_tokens")}
    ways = [[way.strategy.version, way.max_tokens, way.config.model_dump(mode="json")] for way in task.ways]
    return [kept, ways, None if task.calibrator is None else task.calibrator.version]


def _prior(run: Run) -> Mapping[str, Mapping[str, Yield]]:
    """Yields of earlier turns as ``validate`` found them, so that all shards weigh the strategies alike."""
    rows = run.lake.read(
        TURNS, columns=["metrics"], flywheel=run.turn.flywheel, turn=run.turn.key, stage="validate"
    ).to_pylist()
    prior = json.loads(rows[0]["metrics"]).get("prior") if rows else None
    if prior is None:
        return exploration.earlier(run.lake, run.turn, run.flywheel.generate.history)
    return exploration.merged([prior])


def _kept(run: Run, plan: _Plan) -> tuple[list[dict[str, Any]], dict[str, Any]] | None:
    """The rows of an earlier attempt, and its figures, where it sampled just what this one would."""
    if run.flywheel.generate.server is not None:  # the model behind a server's name may be another one by now
        return None
    where: dict[str, Any] = {"flywheel": run.turn.flywheel, "turn": run.turn.key, "shard": run.shard}
    done = run.lake.read(TURNS, stage="generate", **where).to_pylist()
    if not done or json.loads(done[0]["metrics"]).get("identity") != plan.identity:
        return None
    rows = run.lake.read(RESPONSES, run_id=done[0]["run_id"], **where).to_pylist()
    versions = {(way.name, way.strategy.version) for task in plan.tasks.values() for way in task.ways}
    if len(rows) != done[0]["rows_out"] or not {(r["strategy"], r["strategy_version"]) for r in rows} <= versions:
        return None
    run.say(f"run {done[0]['run_id']} sampled these responses already, from the same model and configuration")
    return rows, json.loads(done[0]["metrics"])


def _explore(run: Run, plan: _Plan) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    config = run.flywheel.generate
    found, usage = Found(), None
    if plan.prompts:
        engine = _engine(run, plan)
        found = exploration.explore(
            plan.prompts,
            plan.tasks,
            sampled=partial(exploration.sample, engine),
            policy=exploration.chosen_policy(config, plan.prior, plan.seed),
            budget=plan.budget,
            rule=exploration.Rule(config.confidence, run.flywheel.update.min_reward),
            say=run.say,
        )
        usage = getattr(engine, "usage", None)
        if not found.responses:
            raise DataError(
                f"no response was sampled for {len(plan.prompts)} prompts",
                where=f"{run.turn.key}, shard {run.shard}",
                mend="raise generate.budget, or engine.context where conversations are too long: "
                f"{found.too_long.total()} were",
            )
    rows = [_row(response, plan.model_version) for response in found.responses]
    return rows, {
        "model_version": plan.model_version,
        "seed": plan.seed,
        "identity": plan.identity,
        "policy": config.policy.value,
        "tokens": found.tokens,
        "samples": dict(Counter(row["strategy"] for row in rows)),
        "settled": found.settled,
        "short": found.short,
        "rounds": found.rounds,
        "truncated": sum(row["finish_reason"] == "length" for row in rows),
        "too_long": dict(found.too_long),
        "yields": exploration.told(found.yields),
        **({"usage": asdict(usage)} if usage is not None else {}),
    }


def _engine(run: Run, plan: _Plan) -> backends.Engine:
    config, engine = run.flywheel.generate, run.flywheel.engine
    if config.server is not None:
        return backends.connect_server(config.server, seed=plan.seed, context=engine.context, say=run.say)
    adapter = str(run.flywheel.file(config.adapter)) if config.adapter else None
    return backends.start_engine(plan.champion, seed=plan.seed, say=run.say, config=engine, adapter=adapter)


def _row(response: Response, model_version: str) -> dict[str, Any]:
    wanted, completion = response.wanted, response.completion
    return {
        "response_id": f"{wanted.prompt.query_id}:{wanted.way.name}:{wanted.sample}",
        "query_id": wanted.prompt.query_id,
        "strategy": wanted.way.name,
        "strategy_version": wanted.way.strategy.version,
        "sample": wanted.sample,
        "round": wanted.round,
        "temperature": response.temperature,
        "text": completion.text,
        "answer": response.answer,
        "token_ids": completion.token_ids,
        "logprobs": completion.logprobs,
        "finish_reason": completion.finish_reason,
        "tokens": response.tokens,
        "model_version": model_version,
    }


def _picture(run: Run, metrics: Mapping[str, Any]) -> None:
    """Say what each strategy cost and found, and draw it beside the run's other files."""
    known = exploration.merged([metrics["yields"]])
    for line in exploration.sentences(known):
        run.say(line)
    if known:
        file = run.lake.artifacts(run.turn, run.run_id) / f"exploration-{run.shard}.png"
        picture.draw(known, file)
        run.say(f"exploration: {file}")
