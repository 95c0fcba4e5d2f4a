"""A promotion that waits for a person: approved, rejected, left to its time limit, taken back.

The stages before ``gate`` are a stand-in, which leaves the scores of two models; gate, register and registry are real.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tao_ops.database import database
from tao_ops.local.client import AirflowClient
from tao_ops.registry import open_registry
from tao_ops.settings import Settings
from tests.e2e.operated.started import Operated
from tests.e2e.operated.watching import ended, first_run, question_is_put

LIMITS = {"patient": "20h", "hasty": "1m"}
DECISIONS = ("promote", "reject", "rollback")


def question(run_id: str) -> str:
    return f"dags/flywheel_patient/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"


def waiting(airflow: Operated, client: AirflowClient, run_id: str) -> dict[str, Any]:
    """What a person is asked, once they are."""
    question_is_put(airflow.services, client, "flywheel_patient", run_id)
    return dict(client.ask("GET", question(run_id)).json())


def answer(client: AirflowClient, run_id: str, option: str, reason: str) -> None:
    body = {"chosen_options": [option], "params_input": {"reason": reason}}
    client.ask("PATCH", question(run_id), json=body)


def history(flywheel: str) -> tuple[int, list[tuple[str, str, str]]]:
    """The champion, and what people decided: kind, who and why."""
    settings = Settings.from_env()
    with database(settings) as url:
        registry = open_registry(url, settings)
        events = [(event.kind.value, event.who, event.why) for event in registry.events(flywheel)]
        return registry.champion_version(flywheel), [event for event in events if event[0] in DECISIONS]


@pytest.mark.timeout(1500)
def test_a_promotion_waits_for_a_person(
    airflow: Operated,
    client: AirflowClient,
    viewer: httpx.Client,
    with_flywheels: Callable[[Mapping[str, Any]], None],
) -> None:
    with_flywheels(
        {
            name: {"gate": {"approval": "manual", "approval_limit": limit}, "evaluate": {"control": None}}
            for name, limit in LIMITS.items()
        }
    )
    hasty, patient = first_run(client, "flywheel_hasty"), first_run(client, "flywheel_patient")

    asked = waiting(airflow, client, patient)
    assert asked["options"] == ["Approve", "Reject"] and "version 1 of patient" in asked["subject"]
    assert "+50.0 points" in asked["body"]
    assert history("patient")[0] == 0
    body = {"chosen_options": ["Approve"], "params_input": {}}
    assert viewer.patch(f"/api/v2/{question(patient)}", json=body).status_code == 403
    assert viewer.get(f"/api/v2/{question(patient)}").json()["response_received"] is False
    answer(client, patient, "Approve", "looks good")
    states = ended(client, "flywheel_patient", patient)
    assert (states["approve"], states["release"], states["run"]) == ("success", "success", "success")
    assert history("patient") == (1, [("promote", "admin", "looks good")])

    # Nobody answers: the limit does, and the run has done its work.
    states = ended(client, "flywheel_hasty", hasty)
    assert (states["approve"], states["release"], states["run"]) == ("success", "success", "success")
    assert history("hasty") == (0, [("reject", "time limit", "nobody answered within 0:01:00")])

    again = client.trigger("flywheel_patient", conf={}, note="another candidate")
    waiting(airflow, client, again)
    answer(client, again, "Reject", "too wordy")
    assert ended(client, "flywheel_patient", again)["run"] == "success"
    champion, events = history("patient")
    assert champion == 1 and events[1:] == [("reject", "admin", "too wordy")]

    _assert_rolled_back(client)
    _assert_assets(client)
    _assert_lineage(airflow.lineage, asked["body"])


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
