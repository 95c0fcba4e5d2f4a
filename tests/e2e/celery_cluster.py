"""CeleryExecutor on one machine: a broker on loopback, and workers that share the lake and no other folder."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from tao_ops.local import processes
from tao_ops.local import services as local_services
from tao_ops.local.processes import Service
from tests.e2e.operated.started import Operated
from tests.e2e.operated.watching import eventually

BROKER_SECONDS = 20.0


@dataclass(frozen=True)
class Worker:
    """One Celery worker.

    Attributes:
        home: its ``TAO_HOME``, which no other process has.
    """

    service: Service
    home: Path

    def hold(self, stage: str) -> Path:
        """The file that stops a pretended model of this worker in mid-work, as long as it is there."""
        return self.home / f"hold-{stage}"

    def at_work(self, stage: str) -> psutil.Process | None:
        """The stage's process that is stopped there."""
        try:
            return psutil.Process(int(self.hold(stage).with_suffix(".pid").read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):  # none yet; or it is being written
            return None

    def kill(self) -> None:
        """End the worker, its pool and its log server at once, as the end of its machine would."""
        os.killpg(self.service.pid, signal.SIGKILL)
        eventually(lambda: not self.service.alive())


class Workers:
    """The workers of an Airflow; they end with it."""

    def __init__(self, airflow: Operated) -> None:
        self._services, self._env = airflow.services, airflow.env
        self._folder = airflow.folder

    def start(self, name: str, queue: str, *, slots: int, own_logs: bool) -> Worker:
        """Start one with a home of its own.

        Args:
            slots: how many tasks it takes at once.
            own_logs: its tasks' logs lie in its home, and it serves them; else where Airflow's are.
        """
        home = self._folder / name
        home.mkdir()
        env = {**self._env, "TAO_HOME": str(home), "AIRFLOW_HOME": str(home / "airflow")}
        arguments = ["celery", "worker", "-q", queue, "-c", str(slots), "-H", f"{name}@%h"]
        arguments += ["--without-mingle", "--without-gossip"]
        if own_logs:
            env["AIRFLOW__LOGGING__BASE_LOG_FOLDER"] = str(home / "airflow" / "logs")
        else:
            arguments.append("--skip-serve-logs")
        # Recorded with Airflow's services, which the end of the test stops.
        self._services = self._services.launch(name, partial(local_services._run_airflow, arguments, env))
        return Worker(self._services.services[-1], home)

    def require_alive(self, worker: Worker) -> bool:
        """Yes; a worker that has ended fails the test with the end of its log."""
        log = self._services.logs / f"{worker.service.name}.log"
        assert worker.service.alive(), processes.tail(log)
        return True


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """The address of a Redis server on loopback that keeps nothing on disk."""
    port = free_port()
    # Beside the interpreter: a wheel brings it.
    command = [str(Path(sys.executable).with_name("redis-server")), "--bind", "127.0.0.1", "--port", str(port)]
    command += ["--save", "", "--appendonly", "no", "--dir", str(folder)]
    service = processes.start("broker", command, {}, folder / "broker.log")
    try:
        eventually(lambda: processes.listens(service, port), BROKER_SECONDS)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        processes.end_leader(service, grace_s=BROKER_SECONDS)


def with_celery(broker_url: str) -> dict[str, str]:
    """Settings of Airflow's services and workers, for :func:`tests.e2e.operated.started.operated`."""
    return {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "tests.e2e.loopback.address",
        "AIRFLOW__CELERY__BROKER_URL": broker_url,
        # Two cores that are busy may not hand a task over within one second.
        "AIRFLOW__CELERY__OPERATION_TIMEOUT": "30",
        "AIRFLOW__CELERY__SYNC_PARALLELISM": "1",
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "86400",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        # A worker that is gone is missed after half a minute instead of two.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    }


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
