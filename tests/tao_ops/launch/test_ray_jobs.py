"""A stage as a job of a Ray cluster: submitted once, found again, followed line by line, ended."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tao_ops.config.launch_ray import RayAmounts, RayConfig
from tao_ops.errors import ConfigError
from tao_ops.launch import ray_api, ray_jobs
from tao_ops.launch.ray_api import Access, JobDetails, JobState, RayJobs, RayRefused, RayUnreachable
from tao_ops.launch.ray_jobs import Job, attach, follow, job_environment, job_name, stop_all
from tao_ops.settings import Settings
from tests.tao_ops.launch.jobs_api import JobsApi, jobs_api

JOB = Job(
    name="tao.t.turn.run.score.3.abc",
    clearing="2",
    command=["python", "-m", "tao_ops.cli", "score", "it's"],
    environment={"TAO_LAKE": "/lake"},
    amounts=RayAmounts(cpus=2, gpus=1, memory_gib=0.5, resources={"fast": 1}),
    runtime_env={"working_dir": "s3://code/x.zip"},
)
FIRST, SECOND = f"{JOB.name}-1", f"{JOB.name}-2"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[JobsApi]:
    monkeypatch.setattr(ray_jobs, "POLL_S", 0.02)
    with jobs_api() as found:
        yield found


class Asked:
    """What a question came to."""

    def __init__(self, api: JobsApi, limit_lost_s: float = 20.0) -> None:
        self._access = Access(api.address, headers={"Authorization": "Bearer t"}, limit_lost_s=limit_lost_s)
        self.warned: list[str] = []

    def __call__(self, do: Callable[[RayJobs], Awaitable[Any]]) -> Any:
        async def ask() -> Any:
            async with ray_api.ray_jobs(self._access, self.warned.append) as jobs:
                return await do(jobs)

        return asyncio.run(ask())


def attached(api: JobsApi, job: Job = JOB, *, report: bool = False) -> tuple[str, bool]:
    """The job's id, and whether what an earlier one left was removed."""
    removed: list[bool] = []
    how: dict[str, Any] = {"reported": lambda: report, "fresh": lambda: removed.append(True)}
    return Asked(api)(lambda jobs: attach(jobs, job, **how)), bool(removed)


def followed(api: JobsApi, *, limit_lost_s: float = 20.0, deadline: float | None = None) -> Any:
    """How the first job ended, its lines, its states, what was warned of."""
    lines: list[str] = []
    states: list[JobState] = []

    def changed(job: JobDetails) -> None:
        states.append(job.state)

    asked = Asked(api, limit_lost_s)
    ended = asked(lambda jobs: follow(jobs, FIRST, lines.append, changed=changed, deadline=deadline))
    return ended, lines, states, asked.warned


def test_a_job_is_submitted_with_its_command_and_what_it_holds(api: JobsApi) -> None:
    assert attached(api) == (FIRST, True)
    assert api.submitted == [
        {
            "submission_id": FIRST,
            "entrypoint": "exec python -m tao_ops.cli score 'it'\"'\"'s'",
            "runtime_env": {"working_dir": "s3://code/x.zip", "env_vars": {"TAO_LAKE": "/lake"}},
            "metadata": {"tao_task": JOB.name, "tao_clearing": "2"},
            "entrypoint_num_cpus": 2.0,
            "entrypoint_num_gpus": 1.0,
            "entrypoint_memory": 2**29,
            "entrypoint_resources": {"fast": 1.0},
        }
    ]
    assert {token for _, _, token in api.asked} == {"Bearer t"}


def test_a_job_without_a_gpu_sees_none() -> None:
    without = replace(JOB, amounts=RayAmounts(gpus=0)).request(FIRST)
    assert without["runtime_env"]["env_vars"]["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_VISIBLE_DEVICES" not in JOB.request(FIRST)["runtime_env"]["env_vars"]


def test_who_comes_again_finds_the_job_that_runs(api: JobsApi) -> None:
    attached(api)
    for state in ("RUNNING", "PENDING"):
        api.jobs[FIRST]["status"] = state
        assert attached(api) == (FIRST, False)
    assert len(api.submitted) == 1 and api.stops() == []


@pytest.mark.parametrize("ended", ["FAILED", "STOPPED"])
def test_after_a_job_that_failed_another_one_runs(api: JobsApi, ended: str) -> None:
    attached(api)
    api.end(FIRST, ended)
    assert attached(api, report=True) == (SECOND, True)
    assert attached(api) == (SECOND, False)
    assert [body["submission_id"] for body in api.submitted] == [FIRST, SECOND]


def test_a_job_that_was_done_is_taken_where_its_report_is_there(api: JobsApi) -> None:
    attached(api)
    api.end(FIRST, "SUCCEEDED")
    assert attached(api, report=True) == (FIRST, False)
    assert attached(api, report=False) == (SECOND, True)


def test_a_task_that_was_cleared_runs_anew_and_its_old_job_is_stopped(api: JobsApi) -> None:
    attached(api)
    cleared = replace(JOB, clearing="4")
    assert attached(api, cleared) == (SECOND, True)
    assert api.stops() == [FIRST] and api.jobs[FIRST]["status"] == "STOPPED"
    api.end(SECOND, "SUCCEEDED")
    third, removed = attached(api, replace(JOB, clearing="7"), report=True)
    assert (third, removed) == (f"{JOB.name}-3", True)


def test_no_second_job_runs_beside_an_old_one_that_does_not_end(api: JobsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RayJobs.stopped, "__defaults__", (0.1,))
    attached(api)
    api.obedient = False
    with pytest.raises(Exception, match=f"job {FIRST} from before the task was cleared does not end — stop it"):
        attached(api, replace(JOB, clearing="4"))
    # One that waits for room is stopped by Ray as it starts.
    api.jobs[FIRST]["status"] = "PENDING"
    assert attached(api, replace(JOB, clearing="4")) == (SECOND, True)


def test_a_lost_answer_makes_no_second_job(api: JobsApi) -> None:
    api.failing = [200, None]  # none of this name; then submitted, and the answer lost
    assert attached(api) == (FIRST, True)
    assert len(api.submitted) == 1


def test_each_line_comes_once_and_in_order(api: JobsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_jobs, "LOG_PAUSE_S", 0.0)
    attached(api)
    api.jobs[FIRST]["status"] = "PENDING"
    api.looks = [
        lambda: api.jobs[FIRST].update(status="RUNNING"),
        lambda: api.logs.update({FIRST: "one\ntw"}),
        lambda: api.logs.update({FIRST: "one\ntwo\n 10%\r 20%\r 90%\r\n\x1b[31mthree\x1b[0m\n\n"}),
        lambda: api.logs.update({FIRST: api.logs[FIRST] + "four"}),
        lambda: api.end(FIRST, "FAILED", error_type="JOB_ENTRYPOINT_COMMAND_ERROR", driver_exit_code=75),
    ]
    ended, lines, states, warned = followed(api)
    assert lines == ["one", "two", " 90%", "three", "four"]
    assert (ended.error, ended.exit_code) == ("JOB_ENTRYPOINT_COMMAND_ERROR", 75)
    assert states == [JobState.PENDING, JobState.RUNNING, JobState.FAILED] and warned == []


def test_a_connection_that_comes_back_in_time_is_no_failure(api: JobsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_api, "LONGEST_PAUSE_S", 0.05)
    attached(api)
    api.logs[FIRST] = "one\n"
    api.jobs[FIRST]["status"] = "SUCCEEDED"
    api.failing = [503, None, 404]
    ended, lines, _, warned = followed(api)
    assert ended.state is JobState.SUCCEEDED and lines == ["one"]
    assert len(warned) == 2
    assert warned[0].startswith(f"warning: Ray's Jobs API at {api.address} does not answer: it says 503; tried again")
    assert warned[1].startswith("Ray's Jobs API answers again, after ")


def test_a_connection_that_stays_lost_is_told_in_a_line(api: JobsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_api, "LONGEST_PAUSE_S", 0.05)
    attached(api)
    api.failing = [503] * 1000
    with pytest.raises(RayUnreachable, match="Ray's Jobs API did not answer for .* s: it says 503 .*a retry finds it"):
        followed(api, limit_lost_s=0.2)
    assert RayUnreachable.retryable


def test_a_job_past_its_time_is_stopped(api: JobsApi) -> None:
    attached(api)
    api.logs[FIRST] = "slow"
    ended, lines, _, _ = followed(api, deadline=time.time() - 1)
    assert not ended.state.ended and api.stops() == [FIRST] and lines == ["slow"]


def test_a_job_that_the_cluster_has_forgotten_is_told_as_gone(api: JobsApi) -> None:
    attached(api)
    api.jobs.clear()
    ended, _, states, _ = followed(api)
    assert ended is None and states == []


def test_a_node_that_is_gone_takes_the_logs_end_with_it(api: JobsApi) -> None:
    attached(api)
    api.log_status = 500
    api.end(FIRST, "FAILED", error_type="JOB_SUPERVISOR_ACTOR_DIED", message="The node\nhas died.")
    ended, lines, _, _ = followed(api)
    assert (ended.error, ended.message, ended.exit_code) == ("JOB_SUPERVISOR_ACTOR_DIED", "The node has died.", None)
    assert lines == ["warning: the end of the job's log is lost: its node does not tell it"]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (403, "Ray's Jobs API refused: 403 not now"),
        (302, "Ray's Jobs API refused: 302 not now"),
        (200, "what answers there is not Ray's Jobs API"),
    ],
)
def test_what_no_other_try_would_change_is_told_at_once(
    api: JobsApi, status: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if status == 200:
        monkeypatch.setattr(JobsApi, "answer", lambda *_: (200, "<html>"))
    else:
        api.failing = [status]
    with pytest.raises(RayRefused, match=said):
        attached(api)
    assert not RayRefused.retryable and len(api.asked) == 1


def test_a_request_that_ray_cannot_use_is_told_at_once(api: JobsApi, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Traceback:\nRuntimeError: Request failed with status code 400: ValueError: no such field."
    monkeypatch.setattr(JobsApi, "_submit", lambda *_: (500, text))
    with pytest.raises(RayRefused, match="refused: 500 RuntimeError: .* no such field"):
        attached(api)


def test_all_of_a_tasks_jobs_can_be_stopped(api: JobsApi) -> None:
    attached(api)
    api.end(FIRST, "FAILED")
    attached(api)
    Asked(api)(lambda jobs: stop_all(jobs, JOB.name))
    assert api.stops() == [SECOND]


def settings(database_url: str | None = "postgresql://tao@db/tao") -> Settings:
    return Settings(Path("/home"), Path("/home/cache"), "/lake", database_url, Path("/include"), None)


def config(**environment: str | None) -> RayConfig:
    return RayConfig(address="http://head:8265", environment=environment)


def test_a_job_is_told_where_the_shared_things_are_and_no_secret() -> None:
    told = {"TAO_INCLUDE": "/lake/include", "HF_HOME": "/hf", "TAO_HASH_KEY": "k", "HOME": "/root"}
    found = job_environment(
        config(HF_HOME=None, WANDB_MODE="offline"), settings("postgresql://tao:open%20sesame@db:5432/tao?x=1"), told
    )
    assert found == {
        "TAO_LAKE": "/lake",
        "TAO_INCLUDE": "/lake/include",
        "TAO_DATABASE_URL": "postgresql://tao@db:5432/tao?x=1",
        "HF_HOME": "/hf",
        "WANDB_MODE": "offline",
        "PYTHONUNBUFFERED": "1",
    }


def test_the_clusters_own_places_come_before_the_workers() -> None:
    found = job_environment(config(TAO_LAKE="/mnt/lake", TAO_DATABASE_URL="postgresql://db2/tao"), settings(None), {})
    assert (found["TAO_LAKE"], found["TAO_DATABASE_URL"]) == ("/mnt/lake", "postgresql://db2/tao")


@pytest.mark.parametrize(
    ("database_url", "environment", "said"),
    [
        (None, {}, "need a database that its nodes reach"),
        ("postgresql://db/tao?password=hunter2", {}, "in a form that cannot be left out"),
        ("host=db password=hunter2", {}, "in a form that cannot be left out"),
        ("postgresql://db/tao", {"PROXY": None}, "PROXY holds a secret, and Ray's dashboard would show it"),
        ("postgresql://db/tao", {"MISSING": None}, "MISSING is to be handed on, and Airflow's worker does not have it"),
    ],
)
def test_what_would_show_or_is_not_there_is_refused(
    database_url: str | None, environment: dict[str, str | None], said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        job_environment(config(**environment), settings(database_url), {"PROXY": "http://me:hunter2@proxy"})
    assert "hunter2" not in str(caught.value)


def test_a_name_tells_installations_apart_and_is_never_too_long_for_a_file() -> None:
    what = ("tickets", "2026-11-21T00:00Z", "m" * 300, "score")
    one, other = ({"TAO_LAKE": lake, "TAO_DATABASE_URL": "postgresql://db/tao"} for lake in ("/lake", "/staging"))
    names = {job_name(one, *what, 3), job_name(one, *what, 4), job_name(one, *what), job_name(other, *what, 3)}
    assert len(names) == 4 and max(map(len, names)) < 180
    assert job_name(one, *what, 3) == job_name(one, *what, 3)
