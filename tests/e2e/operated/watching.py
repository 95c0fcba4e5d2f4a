"""Waiting for what Airflow does, and what a run's tasks have come to."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tao_ops.local.client import AirflowClient
from tao_ops.local.environment import MARK
from tao_ops.local.follow import UNFINISHED
from tao_ops.local.state import Services


def eventually(look: Callable[[], Any], limit_s: float = 400) -> Any:
    """What ``look`` finds, once it finds something."""
    deadline = time.monotonic() + limit_s
    while not (found := look()):
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.5)
    return found


def first_run(client: AirflowClient, dag_id: str) -> str:
    """The run that unpausing starts."""
    client.unpause(dag_id)
    (run,) = eventually(lambda: client.runs(dag_id))
    return str(run["dag_run_id"])


def going_well(client: AirflowClient, dag_id: str, run_id: str) -> dict[str, str]:
    """The states of a run's tasks, none of which has failed."""
    tasks = client.tasks(dag_id, run_id)
    for task in tasks:
        if task["state"] in ("failed", "up_for_retry"):
            told = "\n".join(line.text for line in client.log(dag_id, run_id, task)[-30:])
            pytest.fail(f"{task['task_id']} of {dag_id}: {told}")
    return {task["task_id"]: task["state"] for task in tasks}


def ended(client: AirflowClient, dag_id: str, run_id: str) -> dict[str, str]:
    """The states of a run's tasks, and of itself, once it has ended."""
    eventually(lambda: going_well(client, dag_id, run_id) and client.run(dag_id, run_id)["state"] not in UNFINISHED)
    return going_well(client, dag_id, run_id) | {"run": client.run(dag_id, run_id)["state"]}


def question_is_put(services: Services, client: AirflowClient, dag_id: str, run_id: str) -> None:
    """Wait until a person is asked, and until the scheduler has seen the asking worker leave.

    No person answers sooner. An answer that comes while that worker still leaves puts the task into the queue again
    before the scheduler reads of the first exit, and it then takes the task for one that was killed.
    """
    eventually(lambda: going_well(client, dag_id, run_id).get("approve") == "awaiting_input")
    eventually(lambda: _worker_has_left(services, dag_id, run_id, "approve"))


def stage_processes(home: Path, stage: str) -> list[psutil.Process]:
    """The processes that run a stage for the services of ``home``."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if "tao_ops.cli" in words and stage in words and process.environ().get(MARK) == str(home):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _worker_has_left(services: Services, dag_id: str, run_id: str, task_id: str) -> bool:
    said = "Received executor event with state success for task instance"
    names = (f"dag_id='{dag_id}'", f"task_id='{task_id}'", f"run_id='{run_id}'")
    log = (services.logs / "scheduler.log").read_text(encoding="utf-8", errors="replace")
    return any(said in line and all(name in line for name in names) for line in log.splitlines())
