"""Ray's Jobs REST API: how jobs are submitted, looked at and stopped.

It is asked by HTTP, as Ray documents it, and not through ``ray.job_submission``: what starts the jobs then needs no Ray
(300 MB, with pins of its own), and may talk to a cluster of another release.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tao_ops.errors import ConfigError, EngineError
from tao_ops.records import Progress

if TYPE_CHECKING:
    import httpx

REQUEST_S = 30.0
LOG_REQUEST_S = 20.0
"""A log comes from the job's node, which may be gone without a word."""
STOP_S = 20.0
"""Ray kills three seconds after it has asked a process to end."""
LONGEST_PAUSE_S = 20.0
"""Between two tries of a connection that is lost."""

UNSCHEDULABLE = "JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE"
NO_ROOM = "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"
OWN_ERROR = "JOB_ENTRYPOINT_COMMAND_ERROR"
"""Ray's word for a process that ended with another status than 0."""

CLEARING = "tao_clearing"
"""What a job's metadata tells of the task's clearing that it belongs to."""


class RayUnreachable(EngineError):
    """The Jobs API did not answer for as long as it was tried; the job, where there is one, goes on."""


class RayRefused(ConfigError):
    """The Jobs API refused what it was asked."""


class JobState(StrEnum):
    """How a job is, in Ray's words."""

    PENDING = "PENDING"
    """It waits for a node with room, or for its runtime environment."""
    RUNNING = "RUNNING"
    """Its process runs."""
    STOPPED = "STOPPED"
    """Somebody stopped it."""
    SUCCEEDED = "SUCCEEDED"
    """Its process ended with status 0."""
    FAILED = "FAILED"
    """Its process failed, or its node is gone."""

    @property
    def ended(self) -> bool:
        """Whether it stays so."""
        return self not in (JobState.PENDING, JobState.RUNNING)


@dataclass(frozen=True)
class JobDetails:
    """What the API tells of a job.

    Attributes:
        id: its submission id.
        message: Ray's own words.
        error: kind of the failure, in Ray's words.
        exit_code: of the job's process, negative where a signal ended it; None where it did not end by itself.
        clearing: the task's, for which it was submitted.
        node: id of the node that it runs on.
    """

    id: str
    state: JobState
    message: str = ""
    error: str | None = None
    exit_code: int | None = None
    clearing: str | None = None
    node: str | None = None


@dataclass(frozen=True)
class Access:
    """How the Jobs API is reached.

    Attributes:
        headers: a token, where it asks for one.
        verify: whether the server's certificate is checked, or by which authorities' file.
        limit_lost_s: how long a lost connection is tried again.
    """

    address: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    verify: bool | str = True
    limit_lost_s: float = 600.0


@asynccontextmanager
async def ray_jobs(access: Access, warn: Progress) -> AsyncIterator["RayJobs"]:
    """The Jobs API; its connections are closed in the end."""
    import httpx

    async with httpx.AsyncClient(
        base_url=access.address,
        headers=dict(access.headers),
        verify=_verify(access),
        timeout=REQUEST_S,
        trust_env=False,
    ) as client:
        yield RayJobs(client, access, warn)


class RayJobs:
    """The jobs of one cluster; a connection that is lost is tried again for a while.

    Args:
        warn: is told when a connection is lost, and when it is back.
    """

    def __init__(self, client: "httpx.AsyncClient", access: Access, warn: Progress) -> None:
        self._client, self._access, self._warn = client, access, warn

    async def details(self, submission_id: str) -> JobDetails | None:
        """How a job is; None where the cluster knows none of this id."""
        answer = await self._ask("GET", _path(submission_id))
        if answer.status_code == 404:
            return None
        told = self._object(answer)
        try:
            state = JobState(told["status"])
        except (KeyError, ValueError):
            raise self._no_ray() from None
        return JobDetails(
            id=submission_id,
            state=state,
            message=" ".join(str(told.get("message") or "").split())[:400],
            error=told.get("error_type"),
            exit_code=told.get("driver_exit_code"),
            clearing=(told.get("metadata") or {}).get(CLEARING),
            node=told.get("driver_node_id"),
        )

    async def submit(self, request: Mapping[str, Any]) -> None:
        """Start a job; harmless where one of its id is there already, since an answer may have been lost."""
        answer = await self._ask("POST", "/api/jobs/", request)
        if answer.status_code != 200 and "already exists" not in answer.text:
            raise self._refused(answer)

    async def stop(self, submission_id: str) -> None:
        """Ask a job to end; it has ended a little later."""
        answer = await self._ask("POST", f"{_path(submission_id)}/stop")
        if answer.status_code not in (200, 404):
            raise self._refused(answer)

    async def stopped(self, submission_id: str, limit_s: float = STOP_S) -> JobDetails | None:
        """Stop a job and wait for its end; how it is then, or when the limit is over."""
        await self.stop(submission_id)
        deadline = time.monotonic() + limit_s
        while True:
            found = await self.details(submission_id)
            if found is None or found.state.ended or time.monotonic() > deadline:
                return found
            await asyncio.sleep(0.5)

    async def log(self, submission_id: str) -> str | None:
        """All that a job has said; None where its node does not tell it now."""
        import httpx

        try:
            answer = await self._client.get(f"{_path(submission_id)}/logs", timeout=LOG_REQUEST_S)
            return str(answer.json()["logs"]) if answer.status_code == 200 else None
        except (httpx.TransportError, ValueError, KeyError, TypeError):
            return None

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> "httpx.Response":
        lost_at: float | None = None
        pause = 1.0
        while True:
            asked_at = time.monotonic()
            answer, why = await self._answer(method, path, body)
            if answer is not None:
                break
            now = time.monotonic()
            if lost_at is None:
                lost_at = asked_at
                self._warn(
                    f"warning: Ray's Jobs API at {self._access.address} does not answer: {why}; "
                    f"tried again for {self._access.limit_lost_s:.0f} s"
                )
            rest = lost_at + self._access.limit_lost_s - now
            if rest <= 0:
                raise RayUnreachable(
                    f"Ray's Jobs API did not answer for {now - lost_at:.0f} s: {why}",
                    where=self._access.address,
                    mend="a job that was started goes on, and a retry finds it; see `ray status` on the head node",
                )
            await asyncio.sleep(min(pause, rest))
            pause = min(pause * 2, LONGEST_PAUSE_S)
        if lost_at is not None:
            self._warn(f"Ray's Jobs API answers again, after {time.monotonic() - lost_at:.0f} s")
        if answer.is_redirect or answer.status_code in (401, 403):
            raise self._refused(answer)
        return answer

    async def _answer(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> tuple["httpx.Response | None", str]:
        """An answer, or why there is none that another try would not change."""
        import httpx

        try:
            answer = await self._client.request(method, path, json=body)
        except httpx.TransportError as error:
            return None, str(error) or type(error).__name__
        return (None, f"it says {answer.status_code}") if _passing(answer) else (answer, "")

    def _object(self, answer: "httpx.Response") -> dict[str, Any]:
        if answer.status_code != 200:
            raise self._refused(answer)
        try:
            told = answer.json()
        except ValueError:
            raise self._no_ray() from None
        if not isinstance(told, dict):
            raise self._no_ray()
        return told

    def _no_ray(self) -> RayRefused:
        return RayRefused(
            "what answers there is not Ray's Jobs API",
            where=self._access.address,
            mend="name the address of Ray's dashboard, http://ray-head:8265",
        )

    def _refused(self, answer: "httpx.Response") -> RayRefused:
        lines = [line.strip() for line in answer.text.splitlines() if line.strip()]
        return RayRefused(
            f"Ray's Jobs API refused: {answer.status_code} {lines[-1][:300] if lines else ''}",
            where=self._access.address,
            mend="see launch.model.ray, and the connection's token where one is named",
        )


def _verify(access: Access) -> "bool | ssl.SSLContext":
    if access.address.startswith("http:"):
        return False  # there is nothing to check, and certificates take a while to load
    return ssl.create_default_context(cafile=access.verify) if isinstance(access.verify, str) else access.verify


def _path(submission_id: str) -> str:
    return f"/api/jobs/{quote(submission_id, safe='')}"


def _passing(answer: "httpx.Response") -> bool:
    """Whether another try may be answered otherwise: a head node, or a proxy before it, that is about to start.

    Ray tells a wrong request as a failure of its own, with the first answer within.
    """
    if answer.status_code == 404:
        return "does not exist" not in answer.text
    final = "already exists" in answer.text or "status code 400" in answer.text
    return answer.status_code in (408, 429) or (answer.status_code >= 500 and not final)
