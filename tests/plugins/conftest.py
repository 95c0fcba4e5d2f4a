"""A stand-in for the stages' processes, and a browser of the pages of runs."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

STAND_IN = """#!{python} -u
import json, os, signal, subprocess, sys, time
arguments = sys.argv[3:]
assert sys.argv[1:3] == ["-m", "tao_ops.cli"]
with open({calls!r}, "a") as calls:
    print(json.dumps({{"arguments": arguments, "environment": dict(os.environ)}}), file=calls)
{behaviour}
if "--report" in arguments:
    with open(arguments[arguments.index("--report") + 1], "w") as report:
        json.dump({{"stage": arguments[0], "rows_in": 3, "rows_out": 2, "metrics": {{"shards": 2}}}}, report)
"""


class StandIn:
    """A program in the place of the stages' interpreter."""

    def __init__(self, folder: Path) -> None:
        self.path, self._calls = folder / "python", folder / "calls.jsonl"
        self.does("pass")

    def does(self, behaviour: str) -> None:
        """Python that it runs before it writes its report."""
        text = STAND_IN.format(python=sys.executable, calls=str(self._calls), behaviour=behaviour)
        self.path.write_text(text, encoding="utf-8")
        self.path.chmod(0o755)

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Arguments and environment of every call so far."""
        return [json.loads(line) for line in self._calls.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    made = StandIn(tmp_path)
    monkeypatch.setenv("TAO_PYTHON", str(made.path))
    return made


@pytest.fixture
def task_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What an operator tells in its task's log; Airflow warns there that a test calls it."""
    from airflow.sdk import BaseOperator

    lines: list[str] = []
    logger = logging.getLogger("task of a test")
    logger.setLevel(logging.INFO)
    handler = logging.Handler()
    handler.addFilter(lambda record: record.levelno == logging.INFO)
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    monkeypatch.setattr(BaseOperator, "log", logger)
    yield lines
    logger.removeHandler(handler)


@pytest.fixture
def context() -> Callable[..., dict[str, Any]]:
    """Makes a task's context: by default of the scheduled run of 21 November 2026; ``xcom``: what tasks returned."""

    from airflow.sdk.execution_time.context import OutletEventAccessors

    def make(**changes: Any) -> dict[str, Any]:
        params = changes.pop("params", {})
        run = {
            "dag_id": "flywheel_tickets",
            "run_id": "scheduled__2026-11-22T00:00:00+00:00",
            "run_type": "scheduled",
            "logical_date": datetime(2026, 11, 21, tzinfo=UTC),
            "data_interval_start": datetime(2026, 11, 21, tzinfo=UTC),
            "data_interval_end": datetime(2026, 11, 22, tzinfo=UTC),
            "run_after": datetime(2026, 11, 22, tzinfo=UTC),
        }
        pushed: dict[str, Any] = {}
        pulled = changes.pop("xcom", {})
        ti = SimpleNamespace(
            pushed=pushed,
            xcom_push=lambda key, value: pushed.update({key: value}),
            xcom_pull=lambda *, task_ids: pulled.get(task_ids),
        )
        return {
            "dag_run": SimpleNamespace(**{**run, **changes}),
            "params": params,
            "ti": ti,
            "outlet_events": OutletEventAccessors(),
        }

    return make


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of one run's artifacts, in a lake of the test's own."""
    folder = tmp_path.joinpath("lake", "artifacts", "tickets", "2026-11-21T00-00Z", "manual__1")
    folder.mkdir(parents=True)
    monkeypatch.setenv("TAO_LAKE", str(tmp_path / "lake"))
    return folder


@pytest.fixture
def browser(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of the pages, mounted as Airflow's server mounts them; nobody is signed in."""
    from airflow.api_fastapi.app import create_auth_manager
    from airflow.models.dag import DagModel
    from fastapi import FastAPI
    from fastapi.testclient import TestClient
    from tao_airflow import pages
    from tao_airflow.run_files import PREFIX

    create_auth_manager()
    monkeypatch.setattr(DagModel, "get_team_name", lambda dag_id: None)  # it would ask Airflow's database
    server = FastAPI()
    server.mount(PREFIX, pages.app)
    with TestClient(server, base_url=f"http://airflow{PREFIX}") as client:
        yield client


@pytest.fixture
def sign_in(browser: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Gives the browser the cookie of a user; returns what Airflow is asked of their rights."""
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    def give(*, may_read: bool = True) -> list[Any]:
        asked: list[Any] = []

        async def user(self: Any, token: str) -> SimpleAuthManagerUser:
            assert token == "of viv"
            return SimpleAuthManagerUser(username="viv", role="viewer")

        def rights(self: Any, **question: Any) -> bool:
            asked.append((question["method"], question["details"].id, question["user"].username))
            return may_read

        monkeypatch.setattr(SimpleAuthManager, "get_user_from_token", user)
        monkeypatch.setattr(SimpleAuthManager, "is_authorized_dag", rights)
        browser.cookies.set("_token", "of viv")
        return asked

    return give
