"""Runs one stage of a turn as a job of a Ray cluster; while the job runs, the task is deferred and takes no worker."""

import asyncio
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from tao_airflow.connections import found
from tao_airflow.ray_trigger import RayJobTrigger, access
from tao_airflow.stage_task import (
    STOP_SECONDS,
    TEMPORARY_FAILURE,
    StageTask,
    arrived,
    identity,
    make_room,
    own_limit,
)
from tao_ops.config.launch_ray import RayConfig
from tao_ops.errors import TaoError
from tao_ops.launch.ray_api import NO_ROOM, OWN_ERROR, UNSCHEDULABLE, Access, JobState, RayJobs, ray_jobs
from tao_ops.launch.ray_jobs import Job, attach, job_environment, job_name, stop_all
from tao_ops.launch.stage import remote_report
from tao_ops.settings import Settings
from tao_ops.story import MARKED, READER

SPARE = timedelta(minutes=10)
"""How much later than the trigger Airflow itself ends the task, where no triggerer is left to do it."""
REPORT_S = 60.0
"""How late a file that another machine wrote may be seen in a shared folder."""
FAILED_IN_TRIGGER = "__fail__"
"""What Airflow calls the way back of a deferred task whose trigger failed or ran out of time."""

T = TypeVar("T")


class RayStageOperator(StageTask):
    """The stage as a job of the Ray cluster that ``launch`` names.

    The job is found again by flywheel, turn, run, stage and shard: a retry after a lost connection follows the one that
    runs, and so does a triggerer in the place of another. Where somebody clears the task, its job is stopped, and
    another one runs.
    """

    def __init__(self, *, ray: RayConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ray = ray
        self._how: Access | None = None
        self._job_id: str | None = None
        self._killed = False

    def execute(self, context: Any) -> NoReturn:
        """Submit the job, or find it, and leave it to the trigger."""
        limit = own_limit(self)
        self._leave(context, None if limit is None else time.time() + limit)

    def resume(self, context: Any, event: dict[str, Any]) -> dict[str, Any] | list[int]:
        """Return the stage's report, or its shards, as its job has ended."""
        self.turn_and_run = identity(context, self.flywheel)
        if event.get("error_type") == NO_ROOM:
            self.log.info("no node of the Ray cluster had room in the time that it gives a job to start: once more")
            self._leave(context, event["deadline"])
        self.tell_more(context)
        if event.get("state") != JobState.SUCCEEDED:
            words, can_retry = self._why(event)
            if words != event.get("words") or not event["is_told"]:
                self.log.error(words)
            raise (AirflowException if can_retry else AirflowFailException)(words)
        with _readable():
            report = self._report(Settings.from_env().lake)
        if not arrived(report, REPORT_S):
            raise AirflowFailException(
                f"error: stage {self.stage} is done, and its report is not to be seen here [{report}] — Airflow's "
                "workers and the nodes of the Ray cluster share one lake: see TAO_LAKE of both"
            )
        return self.result(context, report)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """Come back from the trigger; where it failed, or no triggerer was left to watch the time, stop the job."""
        if next_method == FAILED_IN_TRIGGER:
            with _readable():
                name = self._job(context).name
                self._asked(lambda jobs: stop_all(jobs, name))
        return super().resume_execution(next_method, next_kwargs, context)

    def on_kill(self) -> None:
        """Stop the job that was just submitted; of a deferred task the trigger does it."""
        self._killed = True
        if self._job_id is not None:
            self._stop()

    def _leave(self, context: Any, deadline: float | None) -> NoReturn:
        with _readable():
            job = self._job(context)
            report = self._report(Settings.from_env().lake)
            self._job_id = self._asked(lambda jobs: self._attached(jobs, job, report))
            if self._killed:
                self._stop()
                raise AirflowException(
                    f"error: stage {self.stage} was stopped; a retry starts over — or clear the task"
                )
        assert self._how is not None
        self.log.info("job %s of the Ray cluster at %s", self._job_id, self._how.address)
        rest = None if deadline is None else timedelta(seconds=max(0.0, deadline - time.time()))
        self.defer(
            trigger=RayJobTrigger(
                submission_id=self._job_id,
                stage=self.stage,
                address=self.ray.address,
                connection=self.ray.connection,
                limit_lost_s=self.ray.limit_lost.total_seconds(),
                deadline=deadline,
            ),
            method_name="resume",
            timeout=None if rest is None else rest + SPARE,
        )

    def _job(self, context: Any) -> Job:
        environment = {**job_environment(self.ray, Settings.from_env()), READER: MARKED}
        self.turn_and_run = identity(context, self.flywheel)
        there = self._report(environment["TAO_LAKE"])
        return Job(
            name=job_name(environment, self.flywheel, *self.turn_and_run, self.stage, self.shard),
            clearing=str(context["ti"].max_tries),  # Airflow raises it when a task is cleared, and by nothing else
            command=self.command(context, there, python=self.ray.python),
            environment=environment,
            amounts=self.ray.amounts(self.stage),
            runtime_env=self.ray.runtime_env,
        )

    def _report(self, lake: str) -> Path:
        """The report's path where the lake is at ``lake``: here, or on the cluster's nodes."""
        assert self.turn_and_run is not None
        return remote_report(lake, self.flywheel, *self.turn_and_run, self.stage, self.shard)

    async def _attached(self, jobs: RayJobs, job: Job, report: Path) -> str:
        return await attach(jobs, job, reported=report.is_file, fresh=partial(make_room, report))

    def _access(self) -> Access:
        connection = found(self.ray.connection, "launch: ray.connection") if self.ray.connection else None
        return access(self.ray.address, connection, self.ray.limit_lost.total_seconds())

    def _asked(self, do: Callable[[RayJobs], Awaitable[T]]) -> T:
        self._how = how = self._access()

        async def ask() -> T:
            async with ray_jobs(how, self.log.warning) as jobs:
                return await do(jobs)

        return asyncio.run(ask())

    def _stop(self) -> None:
        """Ask the job to end, in a thread: a signal may have come in the midst of another question."""
        submission_id, how = self._job_id, self._how
        assert submission_id is not None and how is not None

        async def ask() -> None:
            async with ray_jobs(how, self.log.warning) as jobs:
                await jobs.stop(submission_id)

        thread = threading.Thread(target=lambda: asyncio.run(ask()), daemon=True)
        thread.start()
        thread.join(STOP_SECONDS)

    def _why(self, event: dict[str, Any]) -> tuple[str, bool]:
        """What happened and what to do, in a line; and whether a retry can help."""
        if "error" in event:
            return event["error"], event["can_retry"]
        state, kind, code = event["state"], event.get("error_type"), event.get("exit_code")
        stage, again = f"error: stage {self.stage}", "its retry starts over, and replaces what it may have committed"
        if state is None:
            return f"{stage} is lost: the Ray cluster knows its job no more (was it started anew?); {again}", True
        if state in (JobState.PENDING, JobState.RUNNING):
            limit = f"after {own_limit(self) or 0:.0f} s, its limit"
            if state == JobState.PENDING:
                return f"{stage} found no room {limit} — see `ray status` on the head node, and launch.model.ray", True
            return (
                f"{stage} was ended {limit}; a retry starts over — where it takes as long again, give the task more "
                "time or the stage less to do",
                True,
            )
        if state == JobState.STOPPED:
            return f"{stage} was stopped on the Ray cluster; a retry starts over — or clear the task", True
        if kind == OWN_ERROR and code is not None and code < 0:
            name = signal.Signals(-code).name
            memory = " (out of memory?)" if name == "SIGKILL" else ""
            return f"{stage} was killed by {name}{memory}; {again} — where it happens again, see its node", True
        if kind == OWN_ERROR and code is not None:
            return event["words"], code == TEMPORARY_FAILURE
        if kind == UNSCHEDULABLE:
            return f"{stage} fits no node of the Ray cluster: {event['message']} — see launch.model.ray", False
        return f"{stage} was lost by the Ray cluster: {event['message']}; {again}", True


@contextmanager
def _readable() -> Iterator[None]:
    """An error of ours is the task's, in a line; one that a retry cannot mend ends its tries."""
    try:
        yield
    except TaoError as error:
        raise (AirflowException if error.retryable else AirflowFailException)(f"error: {error}") from None
