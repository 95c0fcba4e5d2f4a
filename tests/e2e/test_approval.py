"""A promotion that waits for a person in a real Airflow: approved, rejected, left to its time limit, taken back.

The stages before ``gate`` are a stand-in, which leaves the scores of two models; gate, register and registry are real.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tao_ops.database import database
from tao_ops.local import services as local_services
from tao_ops.local.client import AirflowClient
from tao_ops.local.follow import UNFINISHED
from tao_ops.local.state import Services
from tao_ops.registry import open_registry
from tao_ops.settings import PROJECT, Settings

LIMITS = {"patient": "20h", "hasty": "1m"}
DECISIONS = ("promote", "reject", "rollback")
STAND_IN = """#!{python} -u
import json, os, sys
arguments = sys.argv[3:]
if arguments[0] not in ("ingest", "validate", "generate", "score", "update", "evaluate"):
    os.execv({python!r}, [{python!r}, "-m", "tao_ops.cli", *arguments])
def option(name):
    return arguments[arguments.index(name) + 1]
if arguments[0] == "evaluate":
    sys.path.insert(0, {tests!r})
    from conftest import JudgedTurn, _write_model
    from tao_ops.config import load_flywheel
    from tao_ops.database import database
    from tao_ops.lake import open_lake
    from tao_ops.models import model_digest
    from tao_ops.registry import open_registry
    from tao_ops.settings import Settings
    from tao_ops.stages import Run
    from tao_ops.turn import named_turn
    settings, run_id = Settings.from_env(), option("--run-id")
    flywheel = load_flywheel(arguments[1], settings)
    turn = named_turn(flywheel.name, option("--turn"), schedule=flywheel.schedule, timezone=flywheel.timezone)
    with database(settings) as url:
        judged = JudgedTurn(Run(flywheel, turn, run_id, open_lake(settings.lake), settings, url, 0, True, print))
        made = _write_model(judged.folder / "made")
        (made / "generation_config.json").write_text(json.dumps(run_id))
        candidate = model_digest(made)
        made.rename(judged.folder / candidate)
        champion = open_registry(url, settings).champion(flywheel.name)
        before = ("base", 0) if champion is None else (champion.model_version, champion.version)
        scores = [1.0] * 30 + [0.0] * 70, [1.0] * 80 + [0.0] * 20
        judged.evaluate(*scores, versions=(before[0], candidate), champion_version=before[1])
with open(option("--report"), "w") as report:
    told = {{"stage": arguments[0], "rows_in": 2, "rows_out": 1, "inputs": {{}}, "output_version": 3}}
    json.dump(told | {{"metrics": {{"shards": 1}}}}, report)
"""


@pytest.fixture
def flywheels(include: Path) -> None:
    """Two flywheels whose promotions wait for a person, one of them for a minute."""
    path = include / "flywheels" / "tickets.yaml"
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.unlink()
    for name, limit in LIMITS.items():
        gate = told["gate"] | {"approval": "manual", "approval_limit": limit}
        changed = told | {"name": name, "gate": gate, "evaluate": {"control": None}}
        path.with_stem(name).write_text(yaml.safe_dump(changed), encoding="utf-8")


@pytest.fixture
def lineage(tmp_path: Path) -> Path:
    """Where OpenLineage's events go."""
    return tmp_path / "events.jsonl"


@pytest.fixture
def services(
    flywheels: None,
    lineage: Path,
    start_airflow: Callable[[], Services],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Services:
    """Airflow with the stand-in, a viewer, and a file for OpenLineage's events."""
    program = tmp_path / "python"
    program.write_text(STAND_IN.format(python=sys.executable, tests=str(PROJECT / "tests" / "tao_ops")))
    program.chmod(0o755)
    monkeypatch.setenv("TAO_PYTHON", str(program))
    transport = {"type": "file", "log_file_path": str(lineage), "append": True}
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT", json.dumps(transport))
    whole = local_services.service_environment

    def with_a_viewer(*arguments: Any) -> dict[str, str]:
        return whole(*arguments) | {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin,viv:viewer"}

    monkeypatch.setattr(local_services, "service_environment", with_a_viewer)
    return start_airflow()


@pytest.fixture
def client(services: Services) -> Iterator[AirflowClient]:
    with services.client() as made:
        for name in LIMITS:
            eventually(lambda name=name: made.dag(f"flywheel_{name}"))
        yield made


def eventually(look: Callable[[], Any], limit_s: float = 400) -> Any:
    deadline = time.monotonic() + limit_s
    while not (found := look()):
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.5)
    return found


@contextmanager
def viewer(services: Services) -> Iterator[httpx.Client]:
    """A client of the user ``viv``, who may look and touch nothing."""
    passwords = json.loads((services.home / "airflow" / "passwords.json").read_text(encoding="utf-8"))
    with httpx.Client(base_url=services.url, timeout=30, trust_env=False) as made:
        answer = made.post("/auth/token", json={"username": "viv", "password": passwords["viv"]})
        made.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield made


def question(flywheel: str, run_id: str) -> str:
    return f"dags/flywheel_{flywheel}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"


def going_well(client: AirflowClient, dag_id: str, run_id: str) -> dict[str, str]:
    """The states of a run's tasks, none of which has failed."""
    tasks = client.tasks(dag_id, run_id)
    for task in tasks:
        if task["state"] in ("failed", "up_for_retry"):
            told = "\n".join(line.text for line in client.log(dag_id, run_id, task)[-30:])
            pytest.fail(f"{task['task_id']} of {dag_id}: {told}")
    return {task["task_id"]: task["state"] for task in tasks}


def waiting(client: AirflowClient, flywheel: str, run_id: str) -> dict[str, Any]:
    """What a person is asked, once they are."""
    eventually(lambda: going_well(client, f"flywheel_{flywheel}", run_id).get("approve") == "awaiting_input")
    return dict(client.ask("GET", question(flywheel, run_id)).json())


def answer(client: AirflowClient, flywheel: str, run_id: str, option: str, reason: str) -> None:
    body = {"chosen_options": [option], "params_input": {"reason": reason}}
    client.ask("PATCH", question(flywheel, run_id), json=body)


def ended(client: AirflowClient, dag_id: str, run_id: str) -> dict[str, str]:
    """The states of a run's tasks, and of itself, once it has ended."""
    eventually(lambda: going_well(client, dag_id, run_id) and client.run(dag_id, run_id)["state"] not in UNFINISHED)
    return going_well(client, dag_id, run_id) | {"run": client.run(dag_id, run_id)["state"]}


def history(flywheel: str) -> tuple[int, list[tuple[str, str, str]]]:
    """The champion, and what people decided: kind, who and why."""
    settings = Settings.from_env()
    with database(settings) as url:
        registry = open_registry(url, settings)
        events = [(event.kind.value, event.who, event.why) for event in registry.events(flywheel)]
        return registry.champion_version(flywheel), [event for event in events if event[0] in DECISIONS]


def first_run(client: AirflowClient, flywheel: str) -> str:
    dag_id = f"flywheel_{flywheel}"
    client.unpause(dag_id)
    (run,) = eventually(lambda: client.runs(dag_id))
    return str(run["dag_run_id"])


@pytest.mark.timeout(1500)
def test_a_promotion_waits_for_a_person(services: Services, client: AirflowClient, lineage: Path) -> None:
    hasty, patient = first_run(client, "hasty"), first_run(client, "patient")

    asked = waiting(client, "patient", patient)
    assert asked["options"] == ["Approve", "Reject"] and "version 1 of patient" in asked["subject"]
    assert "+50.0 points" in asked["body"]
    assert history("patient")[0] == 0
    with viewer(services) as viv:
        body = {"chosen_options": ["Approve"], "params_input": {}}
        assert viv.patch(f"/api/v2/{question('patient', patient)}", json=body).status_code == 403
        assert viv.get(f"/api/v2/{question('patient', patient)}").json()["response_received"] is False
    answer(client, "patient", patient, "Approve", "looks good")
    states = ended(client, "flywheel_patient", patient)
    assert (states["approve"], states["release"], states["run"]) == ("success", "success", "success")
    assert history("patient") == (1, [("promote", "admin", "looks good")])

    # Nobody answers: the limit does, and the run has done its work.
    states = ended(client, "flywheel_hasty", hasty)
    assert (states["approve"], states["release"], states["run"]) == ("success", "success", "success")
    assert history("hasty") == (0, [("reject", "time limit", "nobody answered within 0:01:00")])

    again = client.trigger("flywheel_patient", conf={}, note="another candidate")
    waiting(client, "patient", again)
    answer(client, "patient", again, "Reject", "too wordy")
    assert ended(client, "flywheel_patient", again)["run"] == "success"
    champion, events = history("patient")
    assert champion == 1 and events[1:] == [("reject", "admin", "too wordy")]

    _assert_rolled_back(client)
    _assert_assets(client)
    _assert_lineage(lineage, asked["body"])


def _assert_rolled_back(client: AirflowClient) -> None:
    client.unpause("rollback")
    wrong = {"logical_date": None, "conf": {"flywheel": "patient", "reason": ""}}
    client.ask("POST", "dags/rollback/dagRuns", json=wrong, accept=(400, 422))
    run_id = client.trigger("rollback", conf={"flywheel": "patient", "reason": "it swears"}, note="by hand")
    assert ended(client, "rollback", run_id)["run"] == "success"
    champion, events = history("patient")
    assert champion == 0 and events[2:] == [("rollback", "admin", "it swears")]


def _assert_assets(client: AirflowClient) -> None:
    events = client.ask("GET", "assets/events", params={"limit": 100}).json()["asset_events"]
    of_model = [event for event in events if event["name"] == "patient/model"]
    extras = [(event["source_task_id"], event["extra"]["version"], event["extra"]["who"]) for event in of_model]
    assert sorted(extras, key=str) == [("release", 1, "admin"), ("rollback", None, "admin")]
    assert {event["name"] for event in events} >= {"patient/queries", "patient/report", "hasty/queries"}
    assert not [event for event in events if event["name"] == "hasty/model"]


def _assert_lineage(lineage: Path, report: str) -> None:
    text = lineage.read_text(encoding="utf-8")
    events = [json.loads(line) for line in text.splitlines()]
    done = {event["job"]["name"]: event for event in events if event["eventType"] == "COMPLETE"}
    lake = Settings.from_env().lake
    assert [each["name"] for each in done["flywheel_patient.validate"]["inputs"]] == [f"{lake}/queries"]
    (prompts,) = done["flywheel_patient.validate"]["outputs"]
    assert (prompts["name"], prompts["facets"]["version"]["datasetVersion"]) == (f"{lake}/prompts", "3")
    assert [each["name"] for each in done["flywheel_patient.register"]["outputs"]] == ["patient/model"]
    assert "+50.0 points" in report and "+50.0 points" not in text
