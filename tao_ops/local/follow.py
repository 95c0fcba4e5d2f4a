"""Follow one run of a flywheel's DAG from its first task to its last, with what each stage says."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from tao_ops.config import Flywheel
from tao_ops.errors import ConfigError
from tao_ops.local.client import AirflowClient, AirflowError
from tao_ops.local.view import TaskLine, View
from tao_ops.stages import Stage
from tao_ops.turn import Turn, parse_instant

DAG_SECONDS = 90.0
"""Airflow lists its folder every few seconds; a machine under load takes longer to parse."""
RUN_SECONDS = 60.0
LIMIT_SECONDS = 24 * 3600.0
"""A run of a large model takes hours; a service that has died is seen at once."""
POLL_SECONDS = 1.0
UNFINISHED = ("queued", "running")
STAGES = tuple(stage.value for stage in Stage)
TAIL_LINES = 25
T = TypeVar("T")


@dataclass(frozen=True)
class Followed:
    """How a run ended.

    Attributes:
        seconds: from the run's start to its end.
        failed: the task that failed first, and the end of its log.
    """

    run_id: str
    state: str
    seconds: float
    failed: tuple[str, list[str]] | None = None


def begin(client: AirflowClient, flywheel: Flywheel, turn: Turn, say: Callable[[str], None]) -> str:
    """Find or start the run of ``turn`` that is to be followed; returns its id.

    An unfinished run is followed; unpausing the DAG starts the first run of the newest turn by itself; where the
    turn has had its run, another one is started.

    Raises:
        AirflowError: Airflow does not know the DAG in time; the error of its file is told.
    """
    dag_id = f"flywheel_{flywheel.name}"
    dag = _wait(lambda: client.dag(dag_id), DAG_SECONDS)
    if dag is None:
        problems = "; ".join(client.import_errors()) or "no file of dags/ makes it"
        raise AirflowError(f"Airflow has no DAG {dag_id!r}: {problems}", mend="tao config check")

    def of_turn() -> list[dict[str, Any]]:
        return [run for run in client.runs(dag_id) if _start_of(run, flywheel) == turn.start]

    known = of_turn()
    if dag["is_paused"]:
        client.unpause(dag_id)
    if not known:
        known = _wait(of_turn, RUN_SECONDS) or []
    for run in known:
        if run["state"] in UNFINISHED:
            return str(run["dag_run_id"])
    if known:
        say(f"turn {turn.key} has had a run: it runs again, and its rows are replaced")
    return client.trigger(dag_id, conf={"turn": turn.key}, note=f"turn {turn.key}, from the command line")


def follow(
    client: AirflowClient,
    flywheel: Flywheel,
    run_id: str,
    view: View,
    *,
    check: Callable[[], None] = lambda: None,
    limit_s: float = LIMIT_SECONDS,
) -> Followed:
    """Show every task's state as it changes, and what the running ones say, until the run has ended.

    Args:
        check: raises where waiting has become useless.

    Raises:
        AirflowError: the run has not ended after ``limit_s`` seconds.
    """
    dag_id, deadline = f"flywheel_{flywheel.name}", time.monotonic() + limit_s
    while True:
        check()
        run = client.run(dag_id, run_id)
        tasks = sorted(client.tasks(dag_id, run_id), key=_order)
        view.update([_line(client, dag_id, run_id, task) for task in tasks])
        if run["state"] not in UNFINISHED:
            break
        if time.monotonic() > deadline:
            raise AirflowError(f"the run has not ended after {limit_s / 60:.0f} minutes", where=run_id)
        time.sleep(POLL_SECONDS)
    seconds = _seconds(run["start_date"], run["end_date"])
    return Followed(run_id, run["state"], seconds, _failure(client, dag_id, run_id, tasks))


def _failure(
    client: AirflowClient, dag_id: str, run_id: str, tasks: list[dict[str, Any]]
) -> tuple[str, list[str]] | None:
    failed = [task for task in tasks if task["state"] == "failed"]
    if not failed:
        return None
    first = min(failed, key=lambda task: task["end_date"] or "")
    told = [line.text for line in client.log(dag_id, run_id, first) if line.of_stage or line.level == "error"]
    return _name(first), told[-TAIL_LINES:]


def _line(client: AirflowClient, dag_id: str, run_id: str, task: dict[str, Any]) -> TaskLine:
    said = ""
    if task["state"] in ("running", "up_for_retry"):
        log = client.log(dag_id, run_id, task)
        said = next((line.text for line in reversed(log) if line.of_stage or line.level == "error"), "")
    ended = None if task["state"] == "running" else task["end_date"]
    seconds = _seconds(task["start_date"], ended) if task["start_date"] else None
    return TaskLine(_name(task), task["state"] or "", seconds, said, task["try_number"])


def _name(task: dict[str, Any]) -> str:
    name = str(task["task_id"]).rsplit(".", 1)[-1]
    return name if task["map_index"] < 0 else f"{name} {task['map_index']}"


def _order(task: dict[str, Any]) -> tuple[int, int]:
    name = str(task["task_id"]).rsplit(".", 1)[-1]
    return (STAGES.index(name) if name in STAGES else len(STAGES), task["map_index"])


def _seconds(start: str | None, end: str | None) -> float:
    if start is None:
        return 0.0
    return ((datetime.fromisoformat(end) if end else datetime.now(UTC)) - datetime.fromisoformat(start)).total_seconds()


def _start_of(run: dict[str, Any], flywheel: Flywheel) -> datetime | None:
    """The start of the turn that a run is about, as its tasks work it out."""
    if chosen := (run.get("conf") or {}).get("turn"):
        try:
            return parse_instant(chosen, flywheel.timezone)
        except ConfigError:
            return None
    start = run["data_interval_start"]
    return datetime.fromisoformat(start) if start else None


def _wait(look: Callable[[], T], limit_s: float) -> T:
    """The first true answer, or the last one when the time is over."""
    deadline = time.monotonic() + limit_s
    while not (found := look()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS / 2)
    return found
