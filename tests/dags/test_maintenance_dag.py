"""The DAG of the tables' upkeep: its form and its policies, and how its task runs the command."""

import logging
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, ParamValidationError
from tao_airflow.command_operator import CommandOperator

Fill = Callable[..., dict[str, Any]]
SCHEDULED = {"flywheel": None, "dry_run": False, "keep_files": "7d"}


def test_it_runs_weekly_and_makes_up_for_nothing(dags: dict[str, Any]) -> None:
    dag = dags["maintenance"]
    assert (dag.schedule, dag.catchup) == ("0 3 * * 0", False)
    (task,) = dag.tasks
    assert (task.task_id, task.execution_timeout) == ("maintain", timedelta(hours=2))
    assert task.retries == 2 and task.retry_delay == timedelta(minutes=5) and task.retry_exponential_backoff


@pytest.mark.parametrize("asked", [{}, {"flywheel": "tickets", "dry_run": True}, {"keep_files": "36h"}], ids=str)
def test_a_form_that_is_filled_in_is_taken_and_a_scheduled_run_needs_none(fill_in: Fill, asked: dict[str, Any]) -> None:
    assert fill_in("maintenance", **asked) == SCHEDULED | asked


@pytest.mark.parametrize(
    "wrong",
    [{"flywheel": "ticket"}, {"dry_run": None}, {"keep_files": ""}, {"keep_files": "a week"}, {"keep_files": "0d"}],
    ids=str,
)
def test_a_wrong_form_starts_no_run(fill_in: Fill, wrong: dict[str, Any]) -> None:
    with pytest.raises(ParamValidationError):
        fill_in("maintenance", **wrong)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A program in the place of ``tao``'s interpreter: tells its arguments, then does as it is told."""

    def does(behaviour: str) -> None:
        program = tmp_path / "python"
        program.write_text(
            f"#!{sys.executable} -u\nimport os, sys, time\nprint(*sys.argv[1:])\n{behaviour}\n", encoding="utf-8"
        )
        program.chmod(0o755)
        monkeypatch.setenv("TAO_PYTHON", str(program))

    return does


def _operator(seconds: float = 20) -> CommandOperator:
    limit = timedelta(seconds=seconds)
    return CommandOperator(task_id="maintain", command=("lake", "maintain"), execution_timeout=limit)


def test_it_runs_the_command_and_its_output_is_the_log(stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in("print('prompts: 3 rows')")
    said: list[str] = []
    log = logging.Logger("task of a test")
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    log.addHandler(handler)
    monkeypatch.setattr(CommandOperator, "log", log)
    _operator().execute({})
    assert said[-2:] == ["-m tao_ops.cli lake maintain", "prompts: 3 rows"]


@pytest.mark.parametrize(
    ("behaviour", "kind", "message"),
    [
        ("print('error: no such key [a.yaml]'); sys.exit(1)", AirflowFailException, r"error: no such key \[a.yaml\]"),
        ("print('error: a commit conflicted'); sys.exit(75)", AirflowException, "error: a commit conflicted"),
        ("sys.exit(1)", AirflowFailException, "tao lake maintain ended with status 1"),
        ("os.kill(os.getpid(), 9)", AirflowException, "killed by SIGKILL"),
        ("time.sleep(600)", AirflowException, "was ended at its limit"),
    ],
)
def test_how_the_command_ends_is_how_the_task_ends(
    stand_in: Any, behaviour: str, kind: type[Exception], message: str
) -> None:
    stand_in(behaviour)
    with pytest.raises(kind, match=message) as caught:
        _operator(20 if "sleep" not in behaviour else 1).execute({})
    assert type(caught.value) is kind  # AirflowFailException is an AirflowException that is not retried


def test_a_task_that_is_killed_ends_its_command(stand_in: Any) -> None:
    stand_in("time.sleep(600)")
    task = _operator()
    task.on_kill()
    with pytest.raises(AirflowException, match="tao lake maintain was stopped"):
        task.execute({})
