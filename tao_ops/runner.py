"""How a stage is run: under its lease, on time's record, in the table ``turns``."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from tao_ops import lease, story, turns
from tao_ops.config import expand
from tao_ops.database import advisory_lock, connect, front_door
from tao_ops.files import read_json
from tao_ops.records import StageReport
from tao_ops.stages import SHARDED, Run, Stage, module
from tao_ops.tables import EVALUATIONS, PROMPTS, QUERIES, RESPONSES, REWARDS, Table

_MINUTE = "%Y-%m-%dT%H:%MZ"
_SHORT = 40
"""Characters of a figure in a stage's last line; longer ones have a line of their own."""

FRONT_DOOR = (Stage.INGEST, Stage.VALIDATE)
FRONT_DOOR_SECONDS = 45 * 60.0
"""How long a turn waits for another one at the front door; less than the stages' own limit in Airflow."""

_READS: dict[Stage, tuple[Table, ...]] = {
    Stage.VALIDATE: (QUERIES,),
    Stage.GENERATE: (PROMPTS,),
    Stage.SCORE: (RESPONSES,),
    Stage.UPDATE: (PROMPTS, RESPONSES, REWARDS),
}
_WRITES = {
    Stage.INGEST: QUERIES,
    Stage.VALIDATE: PROMPTS,
    Stage.GENERATE: RESPONSES,
    Stage.SCORE: REWARDS,
    Stage.EVALUATE: EVALUATIONS,
}
_SETTINGS: dict[Stage, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Stage.INGEST: (("schedule", "timezone", "sources", "ingest"), ()),
    Stage.VALIDATE: (("validate",), ("expectations", "near_duplicates")),
    Stage.GENERATE: (("model", "generate", "engine"), ("strategies",)),
    Stage.SCORE: ((), ("scorers", "calibration", "probes", "monitors")),
    Stage.UPDATE: (("update",), ()),
    Stage.EVALUATE: (("engine", "evaluate"), ("benchmarks",)),
    Stage.GATE: (("gate", "dry_run"), ()),
    Stage.REGISTER: (("gate", "dry_run"), ()),
}
"""What of the YAML decides over a stage: its sections, and the keys of each task."""


def execute(stage: Stage, run: Run) -> StageReport:
    """Run one stage of a turn and record what it did; a shard that this run has finished is not run again.

    Raises:
        LeaseHeld: another run holds the turn; nothing was touched.
        TaoError: the stage's own; nothing of it was committed.
    """
    run = replace(run, say=story.teller(run.say))
    shard = run.shard if stage in SHARDED else None
    keep = run.keep_turn and stage is not Stage.REGISTER
    with lease.hold(run.database_url, run.turn, run.run_id, stage.value, shard, keep_between=keep):
        if stage in SHARDED and (done := turns.finished(run, stage)) is not None:
            run.say(f"shard {run.shard} of this run is finished already")
            return _recorded(stage, done)
        with _front_door(stage, run):
            return _execute(stage, run, shard)


@contextmanager
def _front_door(stage: Stage, run: Run) -> Iterator[None]:
    """One ``ingest`` or ``validate`` of a flywheel at a time: what a turn takes depends on what the others hold.

    Raises:
        RegistryError: another one held it for :data:`FRONT_DOOR_SECONDS`.
    """
    if stage not in FRONT_DOOR:
        yield
        return
    name = front_door(run.turn.flywheel)

    def waiting() -> None:
        run.say(f"another turn of {run.turn.flywheel} is at its ingest or validate: waiting for it")

    with (
        connect(run.database_url) as connection,
        advisory_lock(connection, name, seconds=FRONT_DOOR_SECONDS, waiting=waiting),
    ):
        yield


def _execute(stage: Stage, run: Run, shard: int | None) -> StageReport:
    run.say(f"{stage.value}: {run.turn.flywheel}, turn {run.turn.key}, run {run.run_id}")
    story.details(run.say, f"settings of {stage.value}", _settings(stage, run))
    run.say(f"in: {_came_in(stage, run)}")
    started = time.monotonic()
    report: StageReport = module(stage).run(run)  # type: ignore[attr-defined]
    report.seconds = time.monotonic() - started
    report.shard = shard
    turns.record(run, report)
    run.say(f"out: {_went_out(stage, run, report)}")
    done = f"{stage.value} done in {report.seconds:.1f} s: {report.rows_in} rows in, {report.rows_out} rows out"
    run.say("; ".join([done, *(f"{name} {said}" for name, value in report.metrics.items() if (said := _said(value)))]))
    return report


def _settings(stage: Stage, run: Run) -> Iterator[str]:
    """What of the YAML the stage goes by, key by key."""
    sections, of_a_task = _SETTINGS[stage]
    told = run.flywheel.model_dump(mode="json", by_alias=True)
    for section in sections:
        yield from story.settings(told.get(section), section)
    for name, task in told["tasks"].items():
        for key in of_a_task:
            yield from story.settings(task.get(key), f"tasks.{name}.{key}")


def _came_in(stage: Stage, run: Run) -> str:
    """What the stage finds: rows of this turn and who wrote them, or the candidate that it is about."""
    if stage is Stage.INGEST:
        turn, late = run.turn, run.turn.start - run.flywheel.ingest.lateness
        interval = f"{turn.start:{_MINUTE}} to {turn.end:{_MINUTE}}"
        places = ", ".join(expand(source.path) for source in run.flywheel.sources)
        return f"query logs of {interval} in {places}, and late ones since {late:{_MINUTE}}"
    if stage not in _READS:
        path = run.lake.artifacts(run.turn, run.run_id) / "candidate.json"
        if not path.is_file():
            return "no candidate of this run"
        made = read_json(path)
        learnt = f"{made.get('method')} on {made.get('rows')} rows, from version {made.get('base', {}).get('version')}"
        return f"candidate {made.get('model_version')}: {learnt}"
    where: dict[str, Any] = {"flywheel": run.turn.flywheel, "turn": run.turn.key}
    told, runs = [], set()
    for table in _READS[stage]:
        mine = {**where, "shard": run.shard} if stage is Stage.SCORE else where
        ids = run.lake.read(table, columns=["run_id"], **mine).column("run_id").to_pylist()
        runs |= set(ids)
        told.append(f"{len(ids):,} rows of {table.name} (version {run.lake.version(table) or 0})")
    others = sorted(runs - {run.run_id})
    return ", ".join(told) + (f", written by run {', '.join(others)}" if others else "")


def _went_out(stage: Stage, run: Run, report: StageReport) -> str:
    """What the stage has left behind, and where."""
    if stage in _WRITES:
        return f"{report.rows_out:,} rows of {_WRITES[stage].name} (version {report.output_version})"
    what = {
        Stage.UPDATE: f"candidate {report.metrics.get('candidate')}",
        Stage.GATE: f"verdict {report.metrics.get('decision')}",
        Stage.REGISTER: f"version {report.metrics.get('version')}",
    }[stage]
    return f"{what}, {run.lake.artifacts(run.turn, run.run_id)}"


def _recorded(stage: Stage, row: dict[str, Any]) -> StageReport:
    return StageReport(
        stage=stage.value,
        rows_in=row["rows_in"],
        rows_out=row["rows_out"],
        seconds=row["seconds"],
        tokens=row["tokens"],
        shard=row["shard"],
        output_version=row["output_version"],
    )


def _said(value: Any) -> str:
    """A figure as the log says it: a number, a short text, counts by name; nothing where there is nothing to say."""
    if isinstance(value, dict) and all(isinstance(count, int) for count in value.values()):
        return ", ".join(f"{count} {name}" for name, count in value.items() if count)
    short = isinstance(value, (int, str)) and len(str(value)) <= _SHORT
    return str(value) if value and short else ""
