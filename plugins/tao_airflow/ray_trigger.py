"""Follows a job of a Ray cluster while its task is deferred; what the job says is the task's log."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from tao_airflow.stage_operator import unforeseen
from tao_airflow.task_log import TaskLog, secrets
from tao_ops.errors import ConfigError
from tao_ops.launch.process import Outcome
from tao_ops.launch.ray_api import (
    OWN_ERROR,
    Access,
    JobDetails,
    JobState,
    RayJobs,
    RayRefused,
    RayUnreachable,
    ray_jobs,
)
from tao_ops.launch.ray_jobs import follow
from tao_ops.records import Progress
from tao_ops.story import OWN

STOP_LIMIT_S, STOP_LOST_S = 20.0, 8.0
"""Airflow gives a trigger 30 seconds to stop what it follows."""
LONGEST_WORDS = 2_000
"""Characters of what is handed to the task: it goes through Airflow's database."""


class RayJobTrigger(BaseTrigger):
    """Fires once the job has ended, is past its time or is lost, with what the task has to know.

    A triggerer that takes the place of another follows the same job on, its log from the beginning. When somebody
    marks the task or clears it, the job is stopped.

    Args:
        submission_id: the job's.
        stage: the task's, for its words.
        address: of the Jobs API; None: the connection's.
        connection: id of Airflow's connection.
        limit_lost_s: how long a lost connection is tried again.
        deadline: by ``time.time()``.
    """

    def __init__(
        self,
        *,
        submission_id: str,
        stage: str,
        address: str | None,
        connection: str | None,
        limit_lost_s: float,
        deadline: float | None,
    ) -> None:
        super().__init__()
        self.submission_id, self.stage = submission_id, stage
        self.address, self.connection = address, connection
        self.limit_lost_s, self.deadline = limit_lost_s, deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow's database keeps it: no secrets."""
        names = ("submission_id", "stage", "address", "connection", "limit_lost_s", "deadline")
        return "tao_airflow.ray_trigger.RayJobTrigger", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Follow the job."""
        told = TaskLog(self.log, marked=True)
        hidden = sorted(secrets(os.environ), key=len, reverse=True)
        lines: list[str] = []

        def say(line: str) -> None:
            for secret in hidden:  # here, since the last lines go through Airflow's database
                line = line.replace(secret, "***")
            lines[:] = [*lines[-2:], line]
            told(line)

        def own(line: str) -> None:
            told(OWN + line)

        def changed(job: JobDetails) -> None:
            own(f"job {job.id}: {job.state}" + (f" on node {job.node}" if job.state is JobState.RUNNING else ""))

        try:
            async with self._jobs(self.limit_lost_s, own) as jobs:
                ended = await follow(jobs, self.submission_id, say, changed=changed, deadline=self.deadline)
            told.close()
            event = self._event(ended, told, lines)
        except (RayUnreachable, RayRefused) as error:
            told.close()
            event = {"error": f"error: {error}", "can_retry": error.retryable}
        yield TriggerEvent(event)

    async def on_kill(self) -> None:
        """Stop the job: somebody has marked the task, or cleared it."""
        async with self._jobs(STOP_LOST_S, self.log.warning) as jobs:
            ended = await jobs.stopped(self.submission_id, STOP_LIMIT_S)
        self.log.info("job %s: %s", self.submission_id, "gone" if ended is None else ended.state)

    @asynccontextmanager
    async def _jobs(self, limit_lost_s: float, warn: Progress) -> AsyncIterator[RayJobs]:
        from airflow.sdk import Connection  # not while a DAG is parsed: it brings the providers' manager along

        connection = await Connection.async_get(self.connection) if self.connection else None
        async with ray_jobs(access(self.address, connection, limit_lost_s), warn) as jobs:
            yield jobs

    def _event(self, ended: JobDetails | None, told: TaskLog, lines: list[str]) -> dict[str, Any]:
        if ended is None:
            return {"state": None}
        words = None
        if ended.error == OWN_ERROR and ended.exit_code is not None:
            words = told.error or unforeseen(f"stage {self.stage}", Outcome(ended.exit_code, tuple(lines)), told)
        return {
            "state": ended.state.value,
            "error_type": ended.error,
            "exit_code": ended.exit_code,
            "message": ended.message,
            "words": words and words[:LONGEST_WORDS],
            "is_told": told.error is not None,
            "deadline": self.deadline,
        }


def access(address: str | None, connection: Any, limit_lost_s: float) -> Access:
    """How the Jobs API is reached: by its address, or as Airflow's connection says.

    Of a connection these are read: ``schema`` (``http`` where it is empty), ``host``, ``port``; ``password``, a token
    of Ray's; and of ``extra`` ``headers``, ``verify`` (``false``, or a file of certificates).

    Raises:
        ConfigError: the connection has no host, or its extra is no JSON object.
    """
    if address is not None:
        return Access(address, limit_lost_s=limit_lost_s)
    if not connection.host:
        raise ConfigError(
            "the connection has no host", where=connection.conn_id, mend="name the head node of the Ray cluster"
        )
    try:
        extra = json.loads(connection.extra or "{}")
        headers, verify = dict(extra.get("headers") or {}), extra.get("verify", True)
    except (ValueError, TypeError, AttributeError):
        raise ConfigError(
            "the connection's extra is not understood",
            where=connection.conn_id,
            mend='write {"headers": {…}, "verify": …}, or nothing',
        ) from None
    token = {"Authorization": f"Bearer {connection.password}"} if connection.password else {}
    host = connection.host if "://" in connection.host else f"{connection.schema or 'http'}://{connection.host}"
    return Access(
        address=f"{host.rstrip('/')}:{connection.port}" if connection.port else host.rstrip("/"),
        headers={**token, **headers},
        verify=verify,
        limit_lost_s=limit_lost_s,
    )
