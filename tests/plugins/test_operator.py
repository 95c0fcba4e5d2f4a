"""A stage as a task: its command, its log, and how its process's end becomes the task's."""

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from tao_airflow.stage_operator import StageOperator
from tao_airflow.stage_task import release_turn
from tao_airflow.turn import turn_of

from tao_ops.config import load_flywheel
from tao_ops.errors import ConfigError

Context = Callable[..., dict[str, Any]]


def operator(stage: str = "ingest", **kwargs: Any) -> StageOperator:
    return StageOperator(task_id=stage, stage=stage, flywheel="tickets", **kwargs)


def test_it_runs_the_stage_of_the_runs_interval_and_returns_the_report(
    stand_in: Any, task_log: list[str], context: Context
) -> None:
    stand_in.does("print('142 queries')")
    given = context()
    report = operator("score", shard=3).execute(given)
    (call,) = stand_in.calls
    assert call["arguments"][:8] == [
        *("score", "tickets", "--turn", "2026-11-21T00:00Z"),
        *("--run-id", "scheduled__2026-11-22T00-00-00-00-00", "--shard", "3"),
    ]
    assert report == {"stage": "score", "rows_in": 3, "rows_out": 2, "metrics": {"shards": 2}}
    assert given["ti"].pushed == {"report": report}
    assert task_log == [
        "142 queries",
        "see Pictures: /tao/pictures/flywheel_tickets/2026-11-21T00-00Z/scheduled__2026-11-22T00-00-00-00-00/",
        "see the turn: /flywheel/turn/tickets/2026-11-21T00:00Z",
    ]


def test_a_log_ends_with_where_more_is_to_be_seen_even_where_the_stage_failed(
    stand_in: Any, task_log: list[str], context: Context, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://flows.example.org/airflow/")
    monkeypatch.setenv("TAO_LAKE", str(tmp_path / "lake"))
    run = "scheduled__2026-11-22T00-00-00-00-00"
    folder = tmp_path / "lake" / "artifacts" / "tickets" / "2026-11-21T00-00Z" / run
    folder.mkdir(parents=True)
    folder.joinpath("mlflow_run.json").write_text('{"run": "3f2a"}', encoding="utf-8")
    stand_in.does("print('error: no queries'); sys.exit(1)")
    with pytest.raises(AirflowFailException):
        operator("validate").execute(context())
    assert task_log == [
        f"see Data Docs: https://flows.example.org/airflow/tao/data-docs/flywheel_tickets/2026-11-21T00-00Z/{run}/",
        "see the turn: https://flows.example.org/airflow/flywheel/turn/tickets/2026-11-21T00:00Z",
        "see MLflow: run 3f2a of experiment tickets",
        f"see the files: {folder}",
    ]


def test_no_secret_of_the_stages_environment_reaches_the_log(
    stand_in: Any, task_log: list[str], context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.log import mask_logs

    monkeypatch.setenv("TAO_DATABASE_URL", "postgresql://tao:open%20sesame@db/tao")
    monkeypatch.setenv("PARTNER_API_KEY", "sk-2468")
    monkeypatch.setenv("TAO_HASH_KEY", "hashes-are-keyed")
    stand_in.does(
        "print('tried', os.environ['TAO_DATABASE_URL'], 'with open sesame')\n"
        "print('key', os.environ['PARTNER_API_KEY'], os.environ['TAO_HASH_KEY'])\n"
        "print('error: refused', os.environ['PARTNER_API_KEY']); sys.exit(1)"
    )
    with pytest.raises(AirflowFailException) as caught:
        operator().execute(context())
    # As Airflow's supervisor writes them.
    written = [mask_logs(None, "info", {"event": line})["event"] for line in [*task_log, str(caught.value)]]
    assert written[:2] == ["tried postgresql://tao:***@db/tao with ***", "key *** ***"]
    assert written[-1] == "error: refused ***"


def test_validate_returns_the_shards_to_map_over(stand_in: Any, task_log: list[str], context: Context) -> None:
    assert operator("validate").execute(context()) == [0, 1]


def test_the_stage_sees_none_of_airflows_settings(
    stand_in: Any, task_log: list[str], context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "secret")
    monkeypatch.setenv("TAO_LAKE", "/somewhere")
    operator().execute(context())
    environment = stand_in.calls[0]["environment"]
    assert not [name for name in environment if "AIRFLOW" in name]
    assert environment["TAO_LAKE"] == "/somewhere"


@pytest.mark.parametrize(
    ("behaviour", "kind", "message"),
    [
        (
            "print('error: no such key [a.yaml]'); sys.exit(1)",
            AirflowFailException,
            r"error: no such key \[a.yaml\]",
        ),
        ("print('error: engine died'); sys.exit(75)", AirflowException, "error: engine died"),
        (
            "print('last words'); sys.exit(1)",
            AirflowFailException,
            "status 1; it last said: last words — .*clear the task",
        ),
        (
            "{}['x']",
            AirflowFailException,
            "ingest ended with status 1: KeyError: 'x' — see the traceback above; .*clear",
        ),
        ("os.kill(os.getpid(), 9)", AirflowException, "ingest was killed by SIGKILL .*its retry starts over"),
        ("time.sleep(600)", AirflowException, "ingest was ended after 1 s, its limit; .*give the task more time"),
    ],
)
def test_how_a_process_ends_is_how_the_task_ends(
    stand_in: Any, task_log: list[str], context: Context, behaviour: str, kind: type[Exception], message: str
) -> None:
    stand_in.does(behaviour)
    with pytest.raises(kind, match=message) as caught:
        operator(execution_timeout=timedelta(seconds=20 if "sleep" not in behaviour else 1)).execute(context())
    assert type(caught.value) is kind  # AirflowFailException is an AirflowException that is not retried


def test_killing_the_task_ends_the_stage_and_what_it_started(
    stand_in: Any, task_log: list[str], context: Context, tmp_path: Path
) -> None:
    stand_in.does(
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('child', child.pid)\nchild.wait()"
    )
    task = operator()

    def kill_when_it_runs() -> None:
        deadline = time.monotonic() + 20
        while not task_log and time.monotonic() < deadline:
            time.sleep(0.02)
        task.on_kill()

    killer = threading.Thread(target=kill_when_it_runs)
    killer.start()
    with pytest.raises(AirflowException, match="ingest was stopped"):
        task.execute(context())
    killer.join()
    child = int(task_log[0].split()[1])
    deadline = time.monotonic() + 10
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_task_that_is_killed_before_its_process_starts_runs_nothing(
    stand_in: Any, task_log: list[str], context: Context
) -> None:
    stand_in.does("time.sleep(600)")
    task = operator()
    task.on_kill()
    with pytest.raises(AirflowException, match="ingest was stopped"):
        task.execute(context())


def test_a_task_that_failed_for_good_gives_the_turn_back(stand_in: Any, task_log: list[str], context: Context) -> None:
    task = operator()
    assert task.on_failure_callback == [release_turn]
    release_turn({**context(), "task": task})
    assert stand_in.calls[0]["arguments"] == [
        *("turn", "release", "tickets", "--turn", "2026-11-21T00:00Z"),
        *("--run-id", "scheduled__2026-11-22T00-00-00-00-00"),
    ]


def test_the_form_field_picks_the_turn(context: Context) -> None:
    flywheel = load_flywheel("tickets")
    for text in ("2026-11-02", "2026-11-02T00:00Z"):
        assert turn_of(context(params={"turn": text}), flywheel).key == "2026-11-02T00:00Z"


def test_a_form_field_that_is_no_turn_fails_without_a_retry(
    stand_in: Any, task_log: list[str], context: Context
) -> None:
    with pytest.raises(AirflowFailException, match="no turn of tickets starts at 2026-11-02T05:00:00Z"):
        operator().execute(context(params={"turn": "2026-11-02T05:00Z"}))


def test_a_run_without_a_date_takes_the_turn_that_was_complete_when_it_was_due(context: Context) -> None:
    undated = context(
        run_type="manual",
        logical_date=None,
        data_interval_start=None,
        data_interval_end=None,
        run_after=datetime(2026, 11, 20, 17, tzinfo=UTC),
    )
    assert turn_of(undated, load_flywheel("tickets")).key == "2026-11-19T00:00Z"


def test_a_run_whose_date_and_interval_contradict_each_other_is_refused(context: Context) -> None:
    """``airflow dags trigger --logical-date 2026-11-10`` gives the run the interval of yesterday."""
    contradictory = context(run_type="manual", logical_date=datetime(2026, 11, 10, tzinfo=UTC))
    with pytest.raises(ConfigError, match="dated 2026-11-10T00:00Z but its interval is that of 2026-11-21T00:00Z"):
        turn_of(contradictory, load_flywheel("tickets"))


def test_a_run_dated_now_by_the_form_takes_the_interval_that_it_was_given(context: Context) -> None:
    dated_now = context(
        run_type="manual",
        logical_date=datetime(2026, 11, 22, 9, tzinfo=UTC),
        run_after=datetime(2026, 11, 22, 9, tzinfo=UTC),
    )
    assert turn_of(dated_now, load_flywheel("tickets")).key == "2026-11-21T00:00Z"


def test_the_interpreter_is_the_one_that_tao_python_names(stand_in: Any) -> None:
    from tao_ops.launch.stage import tao_command

    assert tao_command("turn") == [os.environ["TAO_PYTHON"], "-m", "tao_ops.cli", "turn"]
