"""``orchestration``: what a turn through Airflow takes beside its stages, and what each second of it is.

A whole turn of the example with the local executor, real Airflow and PostgreSQL; the models are pretended, so that the
stages are short and nothing hides behind them. A turn's wall time is Airflow's own, from the moment that its run was
asked for to the run's end; a stage's own time is what it tells in the table ``turns``: its work, without the start of
its process. What is left is split by the times of task instances in Airflow's API, by the table ``turns``, and by a
shell around each stage's process that notes when it began and ended.

The first turn, which the DAG's start brings, is left out: it meets cold caches. ``TAO_BENCH_REPEATS`` (default 3) says
how many follow, one after the other.
"""

import os
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.report import Row, median, spread, write
from tao_ops.lake import open_lake
from tao_ops.local.client import AirflowClient
from tao_ops.local.follow import UNFINISHED
from tao_ops.settings import Settings
from tao_ops.tables import TURNS
from tao_ops.turn import turn_key

GOAL_S = 20.0
DAG = "flywheel_tickets"
LIMIT_S = 600.0

QUEUE = "scheduler: until a task that may run is queued"
WORKER = "executor: until a worker has the task"
IMPORTS = "worker: imports, plugins, the DAG file"
START = "process: Python, the stage's imports, the lease"
STAGE = "the stages themselves"
LEAVE = "process: the table `turns`, its end"
TELL = "worker: report, XCom, assets, its end"
NO_STAGE = "the tasks that are no stages"
CLOSE = "scheduler: until the run's end is seen"
PARTS = (QUEUE, WORKER, IMPORTS, START, LEAVE, TELL, NO_STAGE, CLOSE)


@dataclass(frozen=True)
class Stage:
    """Four moments of a stage's process, in seconds since 1970."""

    begun: float
    started: float
    finished: float
    ended: float


def run() -> None:
    """Measure the turns and write the result."""
    from tests.e2e.operated import tickets
    from tests.e2e.operated.started import operated
    from tests.e2e.operated.watching import eventually, first_run

    repeats = int(os.environ.get("TAO_BENCH_REPEATS") or 3)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [today - timedelta(days=number) for number in range(1, repeats + 2)]
    found = []
    with tempfile.TemporaryDirectory(prefix="tao-bench-") as scratch, operated(Path(scratch)) as airflow:
        notes = watched(Path(os.environ["TAO_PYTHON"]))
        tickets.write_flywheel(airflow.include, Path(scratch), approval="auto")
        tickets.write_logs(airflow.services.home / "logs" / "tickets", [day.date() for day in days])
        with airflow.services.client() as client:
            eventually(lambda: client.dag(DAG))
            _ended(client, first_run(client, DAG))
            for day in days[1:]:
                notes.unlink(missing_ok=True)
                run_id = client.trigger(DAG, conf={"turn": turn_key(day)}, note="a benchmark's turn")
                _ended(client, run_id)
                stages = _stages(notes, turn_key(day))
                found.append(split(client.run(DAG, run_id), client.tasks(DAG, run_id), stages))
                whole = found[-1][0]
                print(f"{turn_key(day)}: {whole['turn']:.1f} s, {whole[STAGE]:.1f} s of them its stages'", flush=True)
    write("orchestration", list(_rows(found)), repeats, load=round(os.getloadavg()[0], 1), tasks=[t for _, t in found])


def watched(python: Path) -> Path:
    """Put a shell around the stages' interpreter that notes the begin and the end of each; returns its notes."""
    notes, inner = python.with_name("stages.txt"), python.with_name("python-inside")
    python.rename(inner)
    note = 'echo "$1 $(date +%s.%N) $2" >> ' + shlex.quote(str(notes))
    python.write_text(
        f'#!/bin/sh\nnote() {{ {note}; }}\nnote begun "$3"\n{shlex.quote(str(inner))} "$@"\ncode=$?\n'
        'note ended "$3"\nexit $code\n',
        encoding="utf-8",
    )
    python.chmod(0o755)
    return notes


def split(
    run: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]], stages: Mapping[str, Stage]
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """The turn's seconds by part, the whole among them, and the same for each task, first to last.

    A task may run as soon as the one before it has ended: the example has one shard, and its tasks are a chain. One
    that the scheduler skips was never queued: it takes nothing but the scheduler's time.
    """
    ready, whole = _at(run["queued_at"]), dict.fromkeys((*PARTS, STAGE), 0.0)
    told = []
    for task in sorted((one for one in tasks if one["queued_when"]), key=lambda one: _at(one["start_date"])):
        queued, start, end = (_at(task[name]) for name in ("queued_when", "start_date", "end_date"))
        stage = stages.get(task["task_id"].rpartition(".")[2])
        parts = {QUEUE: queued - ready, WORKER: start - queued} | (
            {NO_STAGE: end - start} if stage is None else _of_stage(start, stage, end)
        )
        for part, seconds in parts.items():
            whole[part] += seconds
        told.append({"task": task["task_id"], **{part: round(seconds, 3) for part, seconds in parts.items()}})
        ready = end
    whole[CLOSE] = _at(run["end_date"]) - ready
    whole["turn"] = _at(run["end_date"]) - _at(run["queued_at"])
    return whole, told


def _of_stage(start: float, stage: Stage, end: float) -> dict[str, float]:
    return {
        IMPORTS: stage.begun - start,
        START: stage.started - stage.begun,
        STAGE: stage.finished - stage.started,
        LEAVE: stage.ended - stage.finished,
        TELL: end - stage.ended,
    }


def _stages(notes: Path, key: str) -> dict[str, Stage]:
    """By stage, its moments: what the shell noted, and what the stage told."""
    noted = [line.split() for line in notes.read_text(encoding="utf-8").splitlines()]
    at = {(what, stage): float(when) for what, when, stage in noted}
    lake = open_lake(Settings.from_env().lake)
    rows = lake.read(TURNS, columns=["stage", "seconds", "finished_at"], flywheel="tickets", turn=key).to_pylist()
    found = {}
    for row in rows:
        stage, finished = row["stage"], row["finished_at"].timestamp()
        found[stage] = Stage(at["begun", stage], finished - row["seconds"], finished, at["ended", stage])
    return found


def _rows(found: Sequence[tuple[Mapping[str, float], Sequence[Mapping[str, Any]]]]) -> list[Row]:
    turns, name = [whole for whole, _ in found], "the stages' own time"
    own = median([whole[STAGE] for whole in turns])
    beside = [whole["turn"] - whole[STAGE] for whole in turns]
    rows = [
        Row("a turn's wall time", "s", median([whole["turn"] for whole in turns]), own, name, None),
        Row(
            f"beside its stages, of {len(found[0][1])} tasks",
            "s",
            median(beside),
            None,
            name,
            None,
            f"at most {GOAL_S:g}",
            median(beside) <= GOAL_S,
            spread(beside),
        ),
    ]
    for part in PARTS:
        seconds = [whole[part] for whole in turns]
        rows.append(Row(f"… {part}", "s", median(seconds), None, name, None, spread=spread(seconds)))
    return rows


def _ended(client: AirflowClient, run_id: str) -> None:
    from tests.e2e.operated.watching import eventually, going_well

    eventually(lambda: going_well(client, DAG, run_id) and client.run(DAG, run_id)["state"] not in UNFINISHED, LIMIT_S)
    if (state := client.run(DAG, run_id)["state"]) != "success":
        raise SystemExit(f"error: run {run_id} ended as {state}")


def _at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


__all__ = ["GOAL_S", "PARTS", "Stage", "run", "split", "watched"]
