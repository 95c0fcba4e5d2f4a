"""The DAG of the tables' upkeep: its policies, and how its task runs the command."""

import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from tao_airflow.command_operator import CommandOperator

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def dag() -> Any:
    bag = DagBag(PROJECT / "dags" / "maintenance.py")
    assert bag.import_errors == {}
    return bag.dags["maintenance"]


def test_it_runs_weekly_never_twice_at_once_and_makes_up_for_nothing(dag: Any) -> None:
    assert (dag.max_active_runs, dag.catchup, dag.tags) == (1, False, {"tao"})
    assert dag.schedule == "0 3 * * 0"
    assert dag.doc_md and dag.description


def test_its_task_is_bounded_and_retried(dag: Any) -> None:
    (task,) = dag.tasks
    assert task.task_id == "maintain" and task.owner == "tao"
    assert task.execution_timeout == timedelta(hours=2)
    assert task.retries == 2 and task.retry_delay == timedelta(minutes=5) and task.retry_exponential_backoff


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
    monkeypatch.setattr(CommandOperator, "log", SimpleNamespace(info=said.append, warning=lambda *_: None))
    _operator().execute({})
    assert said == ["-m tao_ops.cli lake maintain", "prompts: 3 rows"]


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
