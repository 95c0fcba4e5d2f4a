"""How a stage is run: under its lease, on time's record, in the table ``turns``."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tao_ops import lease, turns
from tao_ops.database import advisory_lock, connect, front_door
from tao_ops.records import StageReport
from tao_ops.stages import SHARDED, Run, Stage, module

_SHORT = 40
"""Characters of a figure in a stage's last line; longer ones have a line of their own."""

FRONT_DOOR = (Stage.INGEST, Stage.VALIDATE)
FRONT_DOOR_SECONDS = 45 * 60.0
"""How long a turn waits for another one at the front door; less than the stages' own limit in Airflow."""


def execute(stage: Stage, run: Run) -> StageReport:
    """Run one stage of a turn and record what it did; a shard that this run has finished is not run again.

    Raises:
        LeaseHeld: another run holds the turn; nothing was touched.
        TaoError: the stage's own; nothing of it was committed.
    """
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
    started = time.monotonic()
    report: StageReport = module(stage).run(run)  # type: ignore[attr-defined]
    report.seconds = time.monotonic() - started
    report.shard = shard
    turns.record(run, report)
    done = f"{stage.value} done in {report.seconds:.1f} s: {report.rows_in} rows in, {report.rows_out} rows out"
    run.say("; ".join([done, *(f"{name} {said}" for name, value in report.metrics.items() if (said := _said(value)))]))
    return report


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
