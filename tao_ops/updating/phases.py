"""The methods of an update, one after the other, until the candidate is whole.

What is being made lies in one folder, ``.update``, beside the rows that it is trained on: they come first and go last,
so that an erasure finds them at any moment, and all that has learned them.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tao_ops import trained_rows
from tao_ops.backends import trl_trainer
from tao_ops.backends.trl_trainer.job import Job, Question, Rewarder
from tao_ops.config import Method
from tao_ops.errors import DataError, EngineError
from tao_ops.files import read_json, replaced, write_json
from tao_ops.models import model_digest, model_ref
from tao_ops.records import ModelRef
from tao_ops.updating import balance, process, summary
from tao_ops.updating.curves import Attempt, Curves
from tao_ops.updating.examples import examples
from tao_ops.updating.selection import Row

_BEGUN = ".update"


@dataclass(frozen=True)
class Plan:
    """What an update trains.

    Attributes:
        base: where training starts.
        champion: what divergence is measured from.
        rows: what each method learns from, in the methods' order.
        need: what each task lacks, in [0, 1].
        holdout: queries that are measured on, and never trained on.
    """

    base: ModelRef
    champion: ModelRef
    rows: Mapping[Method, Sequence[Row]]
    need: Mapping[str, float]
    holdout: Sequence[Question]
    seed: int


def train(run: Attempt, plan: Plan, rewards: Rewarder, folder: Path) -> tuple[ModelRef, dict[str, Any]]:
    """Train by each method, the second on what the first made, into ``candidate-<digest>`` below ``folder``.

    An attempt that was killed is gone on with. Where the second method has nothing to learn, the first one's model is
    the candidate.

    Returns:
        The candidate, beside the rows that it was trained on; and what the last method that learnt something tells,
        with ``tokens`` of all, ``methods``, ``seed``, ``rows`` and ``queries``.

    Raises:
        DataError: there was nothing to learn, or no checkpoint was within the limits.
        ModelError: checkpoints of another model lie there.
        EngineError: training failed, or rows were erased meanwhile; of the latter nothing is left.
    """
    begun = folder / _BEGUN
    _write_rows(begun, plan.rows)
    if run.flywheel.update.watch.queries and not plan.holdout:
        run.say("the holdout has no queries: nothing is measured on it, and no limit of update.watch.limits holds")
    with _unless_erased(begun):
        with Curves(run, folder) as curves:
            learnt, told = _phases(run, plan, rewards, begun, curves)
        made = begun / learnt[-1].value
        rows = _keep_rows(begun, made, learnt)
        digest = model_digest(made)
        done = folder / f"candidate-{digest}"
        if not done.is_dir():
            made.rename(done)
        elif model_digest(done) != digest:
            _restore(made, done)
        trained_rows.discard(begun)
    return model_ref(done), {
        **told[learnt[-1].value],
        "tokens": sum(int(one["tokens"]) for one in told.values()),
        "methods": told,
        "seed": plan.seed,
        "rows": rows.num_rows,
        "queries": len(rows.column("query_id").unique()),
    }


def _write_rows(begun: Path, rows: Mapping[Method, Sequence[Row]]) -> None:
    """The rows, before anything learns from them; what was begun on others is removed."""
    every = pa.Table.from_pylist([{**row, "method": method.value} for method, mine in rows.items() for row in mine])
    path = begun / trained_rows.ROWS
    if path.is_file() and pq.read_table(path).equals(every):
        return
    shutil.rmtree(begun, ignore_errors=True)
    begun.mkdir(parents=True)
    with replaced(path) as fresh:
        pq.write_table(every, fresh)


def _keep_rows(begun: Path, made: Path, learnt: Sequence[Method]) -> pa.Table:
    """Put beside the model the rows that it learnt from. Read again: an erasure may have taken them away."""
    every = pq.read_table(begun / trained_rows.ROWS)
    rows = every.filter(pc.is_in(every.column("method"), pa.array([method.value for method in learnt])))
    with replaced(made / trained_rows.ROWS) as fresh:
        pq.write_table(rows, fresh)
    return rows


def _restore(made: Path, done: Path) -> None:
    """Give an earlier candidate, the same model, its files again: its weights were past their retention.

    They are copied, so that ``made`` is whole until all of them are there, whenever it is killed.
    """
    for path in sorted(path for path in made.rglob("*") if path.is_file()):
        target = done / path.relative_to(made)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replaced(target) as fresh:
            shutil.copyfile(path, fresh)


@contextmanager
def _unless_erased(begun: Path) -> Iterator[None]:
    """Where an erasure has taken the rows away, say that, and remove what was written since."""
    try:
        yield
    except Exception as error:  # Whatever it is that fails first where the folder is gone.
        if (begun / trained_rows.ROWS).is_file():
            raise
        shutil.rmtree(begun, ignore_errors=True)
        raise EngineError(
            "the rows that it is trained on were erased meanwhile", where=begun, mend="run again: it does without them"
        ) from error


def _phases(
    run: Attempt, plan: Plan, rewards: Rewarder, begun: Path, curves: Curves
) -> tuple[list[Method], dict[str, dict[str, Any]]]:
    """Train by each method; the methods that learnt something, and what is told of all."""
    learnt: list[Method] = []
    told: dict[str, dict[str, Any]] = {}
    start = plan.base
    for method, rows in plan.rows.items():
        job = _job(run, plan, method, start, begun / method.value)
        tasks = balance.told(rows, plan.need, run.flywheel.tasks)
        _tell(run, job, tasks)
        try:
            metrics = _phase(run, job, rewards, curves, last=len(told) == len(plan.rows) - 1)
        except DataError as error:
            if not learnt or not trl_trainer.nothing_to_learn(error):
                raise
            run.say(f"{method.value}: {error.what}; the model that {learnt[-1].value} made is kept")
            metrics = {"steps": None, "kept_step": None, "stopped": error.what, "tokens": 0, "holdout": []}
        else:
            learnt.append(method)
            curves.kept(method, int(metrics["kept_step"]))
            start = model_ref(job.folder)
        told[method.value] = {**metrics, "tasks": summary.by_task(tasks, plan.holdout, metrics)}
    return learnt, told


def _phase(run: Attempt, job: Job, rewards: Rewarder, curves: Curves, *, last: bool) -> dict[str, Any]:
    """One method's training; what an attempt before this one had finished is not trained again."""
    done = job.folder.with_suffix(".json")
    if done.is_file():
        before = read_json(done)
        same = before["run"] == job.fingerprint and before["base"] == job.base.model_version
        if same and job.folder.is_dir():
            run.say(f"{job.method.value} was done by an earlier attempt")
            return dict(before["metrics"])
        # What comes after it was begun on a model that is no more.
        for other in job.folder.parent.glob("*.trainer"):
            shutil.rmtree(other)
        done.unlink()
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


def _job(run: Attempt, plan: Plan, method: Method, base: ModelRef, folder: Path) -> Job:
    production = {task: run.flywheel.prompt(task) for task in run.flywheel.tasks}
    longest = {name: task.max_tokens for name, task in run.flywheel.tasks.items()}
    return Job(
        base=base,
        champion=plan.champion,
        method=method,
        config=run.flywheel.update,
        examples=examples(method, plan.rows[method], production, longest),
        holdout=plan.holdout,
        seed=plan.seed,
        folder=folder,
        scratch=folder.with_name(f"{method.value}.trainer"),
    )


def _tell(run: Attempt, job: Job, tasks: Mapping[str, Mapping[str, Any]]) -> None:
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
