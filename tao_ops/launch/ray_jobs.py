"""Stages as jobs of a Ray cluster: what a job is called and given, and how one is found again, followed and ended.

A job's name is made of flywheel, turn, run, stage and shard, and a number follows it. Whoever comes again for the same
task, with another try or on another machine, finds by the name the job that still runs, and follows that one.
"""

import asyncio
import hashlib
import os
import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tao_ops.config.launch_ray import RayAmounts, RayConfig, is_secret
from tao_ops.errors import ConfigError, EngineError
from tao_ops.launch.process import LONGEST, plain
from tao_ops.launch.ray_api import CLEARING, JobDetails, JobState, RayJobs
from tao_ops.records import Progress
from tao_ops.settings import Settings

POLL_S = 2.0
"""Between two looks at a job."""
LOG_CHARACTERS_PER_S = 100_000
"""The API tells a log from its beginning each time: a long one is asked for less often."""
LOG_PAUSE_S = 60.0
"""The longest time between two looks at a log."""
LINES_AT_ONCE = 200
"""Others wait while lines are told."""

_PASSWORD = re.compile(r"://([^/\s:@]*):[^/\s]*@")
_LONGEST_NAME = 160
"""Ray makes names of files of it."""


@dataclass(frozen=True)
class Job:
    """One stage to be run.

    Attributes:
        name: of the task, whatever its try.
        clearing: tells the tries since somebody last cleared the task from those before: a cleared task runs anew.
        command: of the process; the API shows it.
        environment: variables of the process besides those of its node; the API shows them, so no secrets.
    """

    name: str
    clearing: str
    command: Sequence[str]
    environment: Mapping[str, str]
    amounts: RayAmounts
    runtime_env: Mapping[str, Any] = field(default_factory=dict)

    def request(self, submission_id: str) -> dict[str, Any]:
        """The body that submits it."""
        amounts = self.amounts
        hidden = {} if amounts.gpus else {"CUDA_VISIBLE_DEVICES": ""}  # Ray hides none from who holds none
        asked = {
            "submission_id": submission_id,
            # The shell that Ray starts becomes the process: the exit status and the signals are its own.
            "entrypoint": f"exec {shlex.join(self.command)}",
            "runtime_env": {**self.runtime_env, "env_vars": {**hidden, **self.environment}},
            "metadata": {"tao_task": self.name, CLEARING: self.clearing},
            "entrypoint_num_cpus": amounts.cpus,
            "entrypoint_num_gpus": amounts.gpus,
            "entrypoint_memory": None if amounts.memory_gib is None else int(amounts.memory_gib * 2**30),
            "entrypoint_resources": amounts.resources or None,
        }
        return {name: value for name, value in asked.items() if value is not None}


def job_name(
    environment: Mapping[str, str], flywheel: str, turn: str, run_id: str, stage: str, shard: int | None = None
) -> str:
    """The name of a task's jobs; of two installations that share a cluster each has names of its own.

    >>> job_name({}, "tickets", "2026-11-21T00:00Z", "manual-1", "score", 3)
    'tao.tickets.2026-11-21T00-00Z.manual-1.score.3.2e8423b9'
    """
    parts = (flywheel, turn, run_id, stage, *([] if shard is None else [str(shard)]))
    readable = ".".join(re.sub(r"[^A-Za-z0-9_-]+", "-", part) for part in ("tao", *parts))
    whole = "\n".join([environment.get("TAO_LAKE", ""), environment.get("TAO_DATABASE_URL", ""), *parts])
    return f"{readable[:_LONGEST_NAME]}.{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def job_environment(config: RayConfig, settings: Settings, told: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables for the processes of jobs: where the shared things are, what the YAML names, and no secret.

    A database's password is left out: PostgreSQL's library finds it on the node, in ``PGPASSWORD`` or a file of
    passwords. Where the YAML names the node's own ``TAO_DATABASE_URL_FILE``, no address is told.

    Args:
        told: this process's environment.

    Raises:
        ConfigError: there is no database that other machines reach, or a value holds a secret.
    """
    places = {name: told[name] for name in ("TAO_CACHE", "TAO_INCLUDE") if told.get(name)}
    lake = settings.lake if "://" in settings.lake else os.path.abspath(settings.lake)
    found = {"TAO_LAKE": lake, **places, **_database(config, settings), **_named(config, told)}
    for name, value in found.items():
        if is_secret(name, value):
            raise ConfigError(
                f"{name} holds a secret, and Ray's dashboard would show it",
                where="launch.model.ray",
                mend="set it in the environment of the cluster's nodes, and leave it out of 'environment'",
            )
    return {**found, "PYTHONUNBUFFERED": "1"}


def _named(config: RayConfig, told: Mapping[str, str]) -> dict[str, str]:
    for name, value in config.environment.items():
        if value is None and name not in told:
            raise ConfigError(
                f"{name} is to be handed on, and Airflow's worker does not have it",
                where="launch.model.ray.environment",
                mend=f"set {name} for Airflow's workers, or give it a value",
            )
    return {name: told[name] if value is None else value for name, value in config.environment.items()}


def _database(config: RayConfig, settings: Settings) -> dict[str, str]:
    if config.environment.keys() & {"TAO_DATABASE_URL", "TAO_DATABASE_URL_FILE"}:
        return {}
    if settings.database_url is None:
        raise ConfigError(
            "stages on a Ray cluster need a database that its nodes reach, and this machine has one of its own",
            where="TAO_DATABASE_URL",
            mend="name a PostgreSQL server for Airflow's workers",
        )
    url = _PASSWORD.sub(r"://\1@", settings.database_url)
    if "passw" in url.lower():
        raise ConfigError(
            "the database's address holds its password in a form that cannot be left out",
            where="TAO_DATABASE_URL",
            mend="write postgresql://user:password@host/name, or put the address without it under 'environment'",
        )
    return {"TAO_DATABASE_URL": url}


async def attach(jobs: RayJobs, job: Job, *, reported: Callable[[], bool], fresh: Callable[[], None]) -> str:
    """The id of the job that does this task: the one that is at work already, or a new one.

    A job that has succeeded since the task was last cleared does it too, where its report is there: whoever followed
    it was killed before it took the report. Jobs from before a clearing are stopped.

    Args:
        reported: whether the report is there.
        fresh: removes what an earlier job may have left, before a new one starts.

    Raises:
        EngineError: an earlier job does not end.
        RayUnreachable: the API does not answer.
        RayRefused: it refused the job.
    """
    earlier = await _jobs_of(jobs, job.name)
    for each in earlier:
        if not each.state.ended and each.clearing == job.clearing:
            return each.id
    for each in earlier:
        if not each.state.ended:
            await _end(jobs, each)
    last = earlier[-1] if earlier else None
    if last and last.state is JobState.SUCCEEDED and last.clearing == job.clearing and reported():
        return last.id
    fresh()
    submission_id = f"{job.name}-{len(earlier) + 1}"
    await jobs.submit(job.request(submission_id))
    return submission_id


async def stop_all(jobs: RayJobs, name: str) -> None:
    """Stop whatever is still at work for a task."""
    for each in await _jobs_of(jobs, name):
        if not each.state.ended:
            await jobs.stopped(each.id)


async def _jobs_of(jobs: RayJobs, name: str) -> list[JobDetails]:
    """A task's jobs, the oldest first: their numbers have no gap."""
    found: list[JobDetails] = []
    for number in count(1):
        details = await jobs.details(f"{name}-{number}")
        if details is None:
            break
        found.append(details)
    return found


async def _end(jobs: RayJobs, job: JobDetails) -> None:
    """Stop it; Ray stops one that waits for room once it would start, and it is not waited for."""
    ended = await jobs.stopped(job.id)
    if ended is not None and ended.state is JobState.RUNNING:
        raise EngineError(f"job {job.id} from before the task was cleared does not end", mend="stop it: `ray job stop`")


async def follow(
    jobs: RayJobs, submission_id: str, say: Progress, *, changed: Callable[[JobDetails], None], deadline: float | None
) -> JobDetails | None:
    """Hand every line that a job says to ``say`` until it has ended; how it ended, or None where it is gone.

    Args:
        changed: is told how the job is, at first and whenever it is otherwise.
        deadline: by ``time.time()``; a job that is not over by then is stopped, and is not over in what is returned.
    """
    log = _Log(jobs, submission_id, say)
    state: JobState | None = None
    while True:
        found = await jobs.details(submission_id)  # before its log: what it has said by then is whole
        over = found is None or found.state.ended
        if over:
            await log.read(last=True)
        if found is not None and found.state is not state:
            state = found.state
            changed(found)
        if over:
            return found
        if deadline is not None and time.time() > deadline:
            await jobs.stopped(submission_id)
            await log.read(last=True)
            return found
        if state is JobState.RUNNING:
            await log.read()
        await asyncio.sleep(POLL_S)


class _Log:
    """A job's log: each line once."""

    def __init__(self, jobs: RayJobs, submission_id: str, say: Progress) -> None:
        self._jobs, self._id, self._say = jobs, submission_id, say
        self._told = 0
        self._next = 0.0

    async def read(self, *, last: bool = False) -> None:
        """Tell the lines that have come since, where it is time for that; at last also one that has no end."""
        if not last and time.monotonic() < self._next:
            return
        text = await self._jobs.log(self._id)
        if text is None and last:  # its node may have been busy
            await asyncio.sleep(POLL_S)
            text = await self._jobs.log(self._id)
        if text is None:
            if last:
                self._say("warning: the end of the job's log is lost: its node does not tell it")
            return
        self._next = time.monotonic() + min(LOG_PAUSE_S, len(text) / LOG_CHARACTERS_PER_S)
        end = len(text) if last else text.rfind("\n") + 1
        fresh, self._told = text[self._told : end], max(self._told, end)
        for number, line in enumerate(fresh.split("\n"), 1):
            if number % LINES_AT_ONCE == 0:
                await asyncio.sleep(0)
            if shown := plain(line.rstrip("\r").rsplit("\r", 1)[-1][:LONGEST]):
                self._say(shown)
