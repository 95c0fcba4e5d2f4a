"""A stage's task on a Ray cluster: its job, its log, how the job's end becomes the task's, and who stops it."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferralError, TaskDeferred
from tao_airflow.ray_operator import RayStageOperator
from tao_airflow.ray_trigger import RayJobTrigger, access

from tao_ops.config.launch_ray import RayConfig
from tao_ops.errors import ConfigError
from tao_ops.launch import ray_jobs
from tests.tao_ops.launch.jobs_api import JobsApi, jobs_api

Context = Callable[..., dict[str, Any]]
TURN, RUN = "2026-11-21T00:00Z", "scheduled__2026-11-22T00-00-00-00-00"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[JobsApi]:
    monkeypatch.setattr(ray_jobs, "POLL_S", 0.02)
    monkeypatch.setenv("TAO_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("TAO_DATABASE_URL", "postgresql://tao:open%20sesame@db/tao")
    for name in ("TAO_CACHE", "TAO_INCLUDE"):  # a worker that has them hands them on
        monkeypatch.delenv(name, raising=False)
    with jobs_api() as found:
        yield found


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, str]]]:
    """Levels and lines that a trigger tells in its task's log."""
    lines: list[tuple[int, str]] = []
    logger = logging.getLogger("trigger of a test")
    logger.setLevel(logging.INFO)
    handler = logging.Handler()
    handler.emit = lambda record: lines.append((record.levelno, record.getMessage()))  # type: ignore[method-assign]
    logger.addHandler(handler)
    monkeypatch.setattr(RayJobTrigger, "log", logger)
    yield lines
    logger.removeHandler(handler)


@pytest.fixture
def given(context: Context) -> dict[str, Any]:
    """The context of a task that nobody has cleared."""
    made = context()
    made["ti"].max_tries = 2
    return made


def operator(api: JobsApi, stage: str = "score", shard: int | None = 3, **ray: Any) -> RayStageOperator:
    config = RayConfig.model_validate({"address": api.address, "python": "/opt/gpu/bin/python", **ray})
    how = {"task_id": stage, "stage": stage, "flywheel": "tickets", "shard": shard, "ray": config}
    return RayStageOperator(**how, execution_timeout=timedelta(hours=6))


def deferred(task: RayStageOperator, context: dict[str, Any]) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        task.execute(context)
    return caught.value


def fired(trigger: RayJobTrigger) -> dict[str, Any]:
    """What a trigger hands to its task, made anew as another triggerer makes it."""
    _, arguments = trigger.serialize()

    async def first() -> dict[str, Any]:
        async for event in RayJobTrigger(**json.loads(json.dumps(arguments))).run():
            return event.payload
        raise AssertionError("it never fired")

    return asyncio.run(first())


def write_report(api: JobsApi) -> Path:
    """As the job's process would."""
    words = api.submitted[-1]["entrypoint"].split()
    report = Path(words[words.index("--report") + 1])
    report.write_text(json.dumps({"stage": "score", "rows_in": 3, "rows_out": 2, "metrics": {}}), encoding="utf-8")
    return report


def test_a_stage_runs_as_a_job_and_its_report_comes_back(
    api: JobsApi, given: dict[str, Any], task_log: list[str], told: list[tuple[int, str]], tmp_path: Path
) -> None:
    task = operator(api, stages={"score": {"gpus": 0.5}}, environment={"HF_HOME": "/hf"})
    left = deferred(task, given)
    (body,) = api.submitted
    job = body["submission_id"]
    report = tmp_path / f"lake/artifacts/tickets/2026-11-21T00-00Z/{RUN}/reports/score-3.json"
    assert body["entrypoint"] == (
        f"exec /opt/gpu/bin/python -m tao_ops.cli score tickets --turn {TURN} --run-id {RUN} --shard 3 "
        f"--report {report} --keep-turn"
    )
    assert body["entrypoint_num_gpus"] == 0.5
    assert body["runtime_env"]["env_vars"] == {
        "TAO_LAKE": str(tmp_path / "lake"),
        "TAO_DATABASE_URL": "postgresql://tao@db/tao",
        "HF_HOME": "/hf",
        "PYTHONUNBUFFERED": "1",
        "TAO_LOG": "marked",
    }
    assert task_log == [f"job {job} of the Ray cluster at {api.address}"]

    assert left.method_name == "resume" and left.timeout is not None and left.timeout > timedelta(hours=6)
    assert isinstance(left.trigger, RayJobTrigger) and "sesame" not in str(left.trigger.serialize())
    api.logs[job] = "Running entrypoint for job\n\x1e142 rewards\n\x1ewarning: slow\n"
    api.end(job, "SUCCEEDED", driver_exit_code=0)
    event = fired(left.trigger)
    assert told[-1] == (logging.INFO, f"job {job}: SUCCEEDED")
    assert (logging.INFO, "142 rewards") in told and (logging.WARNING, "warning: slow") in told
    write_report(api)
    returned = operator(api).resume(given, event)
    assert returned == {"stage": "score", "rows_in": 3, "rows_out": 2, "metrics": {}}
    assert given["ti"].pushed == {"report": returned}
    assert f"see the turn: /flywheel/turn/tickets/{TURN}" in task_log


def test_a_retry_follows_the_job_that_runs_and_a_cleared_task_runs_anew(
    api: JobsApi, given: dict[str, Any], task_log: list[str]
) -> None:
    first = deferred(operator(api), given).trigger
    report = write_report(api)
    again = deferred(operator(api), given).trigger
    assert isinstance(first, RayJobTrigger) and isinstance(again, RayJobTrigger)
    assert again.submission_id == first.submission_id and report.is_file()
    given["ti"].max_tries = 4
    cleared = deferred(operator(api), given).trigger
    assert isinstance(cleared, RayJobTrigger) and cleared.submission_id != first.submission_id
    assert api.stops() == [first.submission_id] and not report.exists()


def test_shards_stages_and_runs_have_jobs_of_their_own(
    api: JobsApi, given: dict[str, Any], task_log: list[str], context: Context
) -> None:
    other = context(run_id="manual__1")
    other["ti"].max_tries = 2
    for task, of in ((operator(api), given), (operator(api, shard=4), given), (operator(api, "generate"), given)):
        deferred(task, of)
    deferred(operator(api), other)
    assert len(api.jobs) == 4


OWN = {"error_type": "JOB_ENTRYPOINT_COMMAND_ERROR"}


@pytest.mark.parametrize(
    ("ended", "said", "may_retry"),
    [
        (
            {**OWN, "driver_exit_code": 1, "log": "\x1eerror: no queries\n"},
            "error: no queries",
            False,
        ),
        ({**OWN, "driver_exit_code": 75, "log": "\x1eerror: the lake is away\n"}, "error: the lake is away", True),
        (
            {**OWN, "driver_exit_code": 127, "log": "sh: 1: exec: python9: not found\n"},
            "error: stage score ended with status 127; it last said: sh: 1: exec: python9: not found — once",
            False,
        ),
        ({**OWN, "driver_exit_code": -9}, "error: stage score was killed by SIGKILL (out of memory?); its retry", True),
        ({"status": "STOPPED"}, "error: stage score was stopped on the Ray cluster; a retry starts over", True),
        (
            {"error_type": "JOB_SUPERVISOR_ACTOR_DIED", "message": "its node has died."},
            "error: stage score was lost by the Ray cluster: its node has died.; its retry starts over",
            True,
        ),
        (
            {"error_type": "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE", "message": "no such node"},
            "error: stage score fits no node of the Ray cluster: no such node",
            False,
        ),
    ],
)
def test_a_jobs_end_is_the_tasks_in_a_line(
    api: JobsApi,
    given: dict[str, Any],
    task_log: list[str],
    told: list[tuple[int, str]],
    ended: dict[str, Any],
    said: str,
    may_retry: bool,
) -> None:
    trigger = deferred(operator(api), given).trigger
    assert isinstance(trigger, RayJobTrigger)
    told_by_ray = dict(ended)
    api.logs[trigger.submission_id] = told_by_ray.pop("log", "")
    api.end(trigger.submission_id, told_by_ray.pop("status", "FAILED"), **told_by_ray)
    with pytest.raises(AirflowException) as caught:
        operator(api).resume(given, fired(trigger))
    assert str(caught.value).startswith(said)
    assert isinstance(caught.value, AirflowFailException) is not may_retry


def test_a_job_that_is_forgotten_or_cannot_be_reached_may_be_retried(
    api: JobsApi, given: dict[str, Any], task_log: list[str], told: list[tuple[int, str]]
) -> None:
    trigger = deferred(operator(api), given).trigger
    assert isinstance(trigger, RayJobTrigger)
    trigger.limit_lost_s = 0.1
    api.failing = [503] * 99
    with pytest.raises(AirflowException, match="error: Ray's Jobs API did not answer for .* a retry finds it") as lost:
        operator(api).resume(given, fired(trigger))
    api.failing = []
    api.jobs.clear()
    with pytest.raises(AirflowException, match="the Ray cluster knows its job no more") as gone:
        operator(api).resume(given, fired(trigger))
    assert not any(isinstance(each.value, AirflowFailException) for each in (lost, gone))


def test_a_job_past_the_tasks_time_is_stopped_and_told(
    api: JobsApi, given: dict[str, Any], task_log: list[str], told: list[tuple[int, str]]
) -> None:
    trigger = deferred(operator(api), given).trigger
    assert isinstance(trigger, RayJobTrigger)
    trigger.deadline = 1.0
    with pytest.raises(AirflowException, match="error: stage score was ended after 21168 s, its limit; a retry"):
        operator(api).resume(given, fired(trigger))
    assert api.stops() == [trigger.submission_id]


def test_a_job_that_found_no_room_in_rays_time_waits_on_until_the_tasks_is_over(
    api: JobsApi, given: dict[str, Any], task_log: list[str], told: list[tuple[int, str]]
) -> None:
    first = deferred(operator(api), given).trigger
    assert isinstance(first, RayJobTrigger)
    api.end(first.submission_id, "FAILED", error_type="JOB_SUPERVISOR_ACTOR_START_TIMEOUT")
    with pytest.raises(TaskDeferred) as again:
        operator(api).resume(given, fired(first))
    second = again.value.trigger
    assert isinstance(second, RayJobTrigger) and second.submission_id != first.submission_id
    assert second.deadline == first.deadline
    api.jobs[second.submission_id]["status"] = "PENDING"
    second.deadline = 1.0
    with pytest.raises(AirflowException, match="error: stage score found no room after 21168 s, its limit"):
        operator(api).resume(given, fired(second))
    assert api.stops() == [second.submission_id]


def test_a_lake_that_is_not_shared_is_told(
    api: JobsApi, given: dict[str, Any], task_log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tao_airflow.ray_operator.REPORT_S", 0.0)
    deferred(operator(api), given)
    with pytest.raises(AirflowFailException, match="its report is not to be seen here .* share one lake"):
        operator(api).resume(given, {"state": "SUCCEEDED"})


def test_a_task_that_is_marked_or_cleared_while_its_job_runs_stops_the_job(
    api: JobsApi, given: dict[str, Any], task_log: list[str], told: list[tuple[int, str]]
) -> None:
    trigger = deferred(operator(api), given).trigger
    assert isinstance(trigger, RayJobTrigger)
    asyncio.run(trigger.on_kill())
    assert api.jobs[trigger.submission_id]["status"] == "STOPPED"
    assert told == [(logging.INFO, f"job {trigger.submission_id}: STOPPED")]


def test_a_task_that_is_ended_while_it_submits_leaves_no_job(
    api: JobsApi, given: dict[str, Any], task_log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = operator(api)
    submit = JobsApi._submit

    def submit_and_end(self: JobsApi, body: dict[str, Any]) -> Any:
        task.on_kill()
        return submit(self, body)

    monkeypatch.setattr(JobsApi, "_submit", submit_and_end)
    with pytest.raises(AirflowException, match="error: stage score was stopped"):
        task.execute(given)
    assert [job["status"] for job in api.jobs.values()] == ["STOPPED"]


def test_a_trigger_that_fails_leaves_no_job(api: JobsApi, given: dict[str, Any], task_log: list[str]) -> None:
    trigger = deferred(operator(api), given).trigger
    assert isinstance(trigger, RayJobTrigger)
    with pytest.raises(TaskDeferralError):
        operator(api).resume_execution("__fail__", {"error": "Trigger failure"}, given)
    assert api.jobs[trigger.submission_id]["status"] == "STOPPED"


def test_what_cannot_be_submitted_is_told_at_once(
    api: JobsApi, given: dict[str, Any], task_log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TAO_DATABASE_URL")
    with pytest.raises(AirflowFailException, match="error: stages on a Ray cluster need a database"):
        operator(api).execute(given)
    assert api.submitted == []


def test_no_secret_of_airflows_reaches_the_log(
    api: JobsApi, given: dict[str, Any], task_log: list[str], told: list[tuple[int, str]]
) -> None:
    trigger = deferred(operator(api), given).trigger
    assert isinstance(trigger, RayJobTrigger)
    api.logs[trigger.submission_id] = "\x1etried with open sesame\n"
    api.end(trigger.submission_id, "FAILED", error_type="JOB_ENTRYPOINT_COMMAND_ERROR", driver_exit_code=1)
    assert "sesame" not in str(fired(trigger))
    assert (logging.INFO, "tried with ***") in told


def test_a_connection_of_airflow_holds_address_and_token(
    api: JobsApi,
    given: dict[str, Any],
    task_log: list[str],
    told: list[tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host, port = api.address.removeprefix("http://").split(":")
    held = {
        "conn_type": "http",
        "host": host,
        "port": int(port),
        "password": "t0k3n",
        "extra": {"headers": {"X-A": "b"}},
    }
    monkeypatch.setenv("AIRFLOW_CONN_RAY", json.dumps(held))
    trigger = deferred(operator(api, address=None, connection="ray"), given).trigger
    assert isinstance(trigger, RayJobTrigger) and "t0k3n" not in str(trigger.serialize())
    api.end(trigger.submission_id, "SUCCEEDED")
    assert fired(trigger)["state"] == "SUCCEEDED"
    assert {token for _, _, token in api.asked} == {"Bearer t0k3n"}


@pytest.mark.parametrize(
    ("held", "address"),
    [
        ({"host": "ray-head", "port": 8265}, "http://ray-head:8265"),
        ({"host": "ray.example.org", "schema": "https"}, "https://ray.example.org"),
        ({"host": "https://example.org/ray/"}, "https://example.org/ray"),
    ],
)
def test_a_connection_may_be_written_in_several_ways(held: dict[str, Any], address: str) -> None:
    from airflow.sdk import Connection

    assert access(None, Connection(conn_id="ray", conn_type="http", **held), 1.0).address == address


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({}, "the connection has no host"),
        ({"host": "ray-head", "extra": "[1]"}, "the connection's extra is not understood"),
    ],
)
def test_a_connection_that_says_too_little_is_refused(held: dict[str, str], said: str) -> None:
    from airflow.sdk import Connection

    with pytest.raises(ConfigError, match=said):
        access(None, Connection(conn_id="ray", conn_type="http", **held), 1.0)


def test_a_connection_that_is_not_there_is_told(api: JobsApi, given: dict[str, Any], task_log: list[str]) -> None:
    with pytest.raises(AirflowFailException, match="error: there is no Connection 'nowhere'"):
        operator(api, address=None, connection="nowhere").execute(given)
