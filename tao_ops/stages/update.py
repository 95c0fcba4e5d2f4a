"""``update``: what exploration found is trained into the weights, under the production prompt."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tao_ops import champions, lineage
from tao_ops.config import Method, Start, StrategyKind
from tao_ops.errors import DataError
from tao_ops.files import write_json
from tao_ops.lineage import made_of, recipe
from tao_ops.models import model_facts, model_ref
from tao_ops.records import ModelRef, StageReport
from tao_ops.scoring.models import scoring_models
from tao_ops.stages import Run
from tao_ops.tables import PROMPTS, RESPONSES, REWARDS, Reason
from tao_ops.trained_rows import ROWS
from tao_ops.updating import balance, phases, window
from tao_ops.updating.rewarder import FlywheelRewards
from tao_ops.updating.selection import Row, select, shortage

MANIFEST = "candidate.json"


def run(run: Run) -> StageReport:
    """Train a candidate on the scored responses of the window, by ``update.method``.

    Writes, below the run's artifacts, ``candidate-<digest>/``: the merged model, the very rows that it was trained on,
    its recipe and its manifest; it is never overwritten, since an earlier one may be registered. Last comes
    ``candidate.json``, the same manifest, which the stages after this one read.

    A run that was killed goes on from its last checkpoint, and makes the same candidate. Until the candidate is whole
    all lies in ``.update/``, the rows first, so that an erasure finds it.

    Raises:
        MissingInput: ``score`` has not run.
        DataError: too few queries have something to learn from by a method, and nothing was written; or training found
            nothing to learn, or no checkpoint was within the limits, and no candidate is left.
        ModelError: checkpoints of another model lie there.
        EngineError: training failed, or rows were erased meanwhile; no candidate is left.
    """
    tables = made_of.versions(run.lake)
    inputs = {table.name: tables[table.name] for table in (PROMPTS, RESPONSES, REWARDS)}
    turns = window.turns(run.lake, run.flywheel, run.turn)
    scored, kept_away = window.scored(run.lake, run.flywheel, run.turn, turns)
    plan = _plan(run, scored)
    kept_from_training = _told_of(run, kept_away)
    folder = run.lake.artifacts(run.turn, run.run_id)
    (folder / MANIFEST).unlink(missing_ok=True)
    # Before it is trained: hours later rows of these versions, and files as they were read, may be gone.
    sources = made_of.sources(run.flywheel, run.lake, turns, tables, run.settings)
    with recipe.prepared(run.flywheel, folder) as prepared:
        candidate, metrics = phases.train(run, plan, _rewards(run, scored), folder)
        prepared.put(Path(candidate.path))
    facts = {
        **lineage.facts(run.flywheel, turns, tables, _rows(candidate)),
        **sources,
        "champion": {"version": plan.champion.version, "model_version": plan.champion.model_version},
        "seeds": made_of.seeds(run.flywheel, run.turn, run.flywheel.generate.shards),
        "recipe": prepared.told,
    }
    manifest = _manifest(run, plan, candidate, metrics, facts)
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
            "kept_from_training": kept_from_training,
            **metrics,
        },
    )


def _plan(run: Run, scored: Sequence[dict[str, Any]]) -> phases.Plan:
    """Where training starts, and what each method learns from, its tasks balanced."""
    config = run.flywheel.update
    methods = [config.method] if config.then is None else [config.method, Method(config.then)]
    rows = {method: select(method, scored, config) for method in methods}
    _see_that_there_is_enough(run, rows, len({row["query_id"] for row in scored}))
    need = balance.needs(scored, _production_strategies(run))
    champion = champions.champion(run.flywheel, run.database_url, run.settings, run.say)
    from_base = config.start is Start.BASE
    return phases.Plan(
        base=model_ref(champions.base_model(run.flywheel, run.settings), 0) if from_base else champion,
        champion=champion,
        rows={method: balance.balanced(mine, need, config.balance) for method, mine in rows.items()},
        need=need,
        holdout=window.holdout(run.lake, run.flywheel, run.turn),
        seed=run.turn.seed(run.flywheel.seed, "update"),
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


def _told_of(run: Run, kept_away: Mapping[str, Reason]) -> dict[str, int]:
    """How many prompts are kept from training, by reason; the log says it too."""
    counts = Counter(reason.value for reason in kept_away.values())
    for reason, count in counts.items():
        run.say(f"{count} prompts of the window are kept from training now: {reason}")
    return dict(counts)


def _rewards(run: Run, scored: Sequence[Mapping[str, Any]]) -> FlywheelRewards:
    pools: dict[str, list[tuple[str, str]]] = {}
    for row in scored:
        pools.setdefault(row["query_id"], []).append((row["strategy"], row["answer"]))
    models = scoring_models(run.flywheel, run.database_url, run.settings, run.say)
    return FlywheelRewards(run.lake, run.flywheel, run.turn, models, pools)


def _manifest(
    run: Run, plan: phases.Plan, candidate: ModelRef, metrics: dict[str, Any], facts: dict[str, Any]
) -> dict[str, Any]:
    return {
        **model_facts(candidate).as_dict(),
        "path": candidate.path,
        "flywheel": run.flywheel.name,
        "turn": run.turn.key,
        "run_id": run.run_id,
        "base": {"version": plan.base.version, "model_version": plan.base.model_version},
        "method": run.flywheel.update.method.value,
        "hyperparameters": json.loads(run.flywheel.update.model_dump_json()),
        "rows": metrics["rows"],
        "seed": metrics["seed"],
        "metrics": metrics,
        "training_rows": str(_rows(candidate)),
        "lineage": facts,
    }


def _rows(candidate: ModelRef) -> Path:
    return Path(candidate.path) / ROWS
