"""A stage is handed the Connections that its YAML names, and no log tells what they hold."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException
from tao_airflow.stage_operator import StageOperator

from tao_ops.config.connections import read_connection
from tao_ops.settings import PROJECT

Context = Callable[..., dict[str, Any]]
SECRET = "sesame/open+up"


@pytest.fixture(autouse=True)
def _logs_in_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example, but its logs are in a store that the Connection ``logs-s3`` signs in to."""
    include = tmp_path / "include"
    shutil.copytree(PROJECT / "include", include)
    file = include / "flywheels" / "tickets.yaml"
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    told["sources"] = [{"path": "s3://logs/*.jsonl", "connection": "logs-s3"}]
    file.write_text(yaml.safe_dump(told), encoding="utf-8")
    monkeypatch.setenv("TAO_INCLUDE", str(include))


@pytest.fixture
def airflows(monkeypatch: pytest.MonkeyPatch) -> dict[str, Connection]:
    """Airflow's Connections, by id."""
    known: dict[str, Connection] = {}

    def get(conn_id: str) -> Connection:
        if conn_id not in known:
            raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")
        return known[conn_id]

    monkeypatch.setattr(Connection, "get", get)
    return known


def ingest(context: Context) -> Any:
    return StageOperator(task_id="ingest", stage="ingest", flywheel="tickets").execute(context())


def test_a_stage_finds_the_connection_in_its_environment(
    stand_in: Any, task_log: list[str], context: Context, airflows: dict[str, Connection]
) -> None:
    extra = {"region_name": "eu-west-1"}
    airflows["logs-s3"] = Connection(
        conn_id="logs-s3", conn_type="aws", login="AKIA", password=SECRET, extra=json.dumps(extra)
    )
    ingest(context)
    environment = stand_in.calls[0]["environment"]
    found = read_connection("logs-s3", environment)
    assert (found.login, found.password, found.extra) == ("AKIA", SECRET, extra)
    assert [name for name in environment if name.startswith("TAO_CONNECTION_")] == ["TAO_CONNECTION_LOGS_S3"]


def test_no_log_tells_what_it_holds(
    stand_in: Any, task_log: list[str], context: Context, airflows: dict[str, Connection]
) -> None:
    airflows["logs-s3"] = Connection(conn_id="logs-s3", conn_type="aws", login="AKIA", password=SECRET)
    stand_in.does("print('signed in with', json.loads(os.environ['TAO_CONNECTION_LOGS_S3'])['password'])")
    ingest(context)
    assert "signed in with ***" in task_log and SECRET not in "".join(task_log)


def test_a_connection_that_airflow_does_not_know_fails_the_task_for_good(
    stand_in: Any, task_log: list[str], context: Context, airflows: dict[str, Connection]
) -> None:
    with pytest.raises(AirflowFailException, match="there is no Connection 'logs-s3' .*Admin, Connections"):
        ingest(context)
