"""A Ray cluster on loopback: a head that runs no job, and nodes that are started and killed as a test needs."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from tests.e2e.operated.watching import eventually

HOST = "127.0.0.1"
OBJECT_STORE = "80000000"
"""Bytes: the least that Ray takes. A stage puts nothing there."""
SOONER = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "3",
}
"""A node that is gone is missed after seconds instead of half a minute."""
QUIET = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_worker_register_timeout_seconds": "120",
}
SLOTS = "slots"
"""A resource of the nodes that run stages."""


class RayCluster:
    """The processes of a cluster."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder, self._environment = folder, {**environment, **QUIET, **SOONER}
        self._gcs, self._dashboard = free_port(), free_port()
        self.address = f"http://{HOST}:{self._dashboard}"
        self.nodes: list[psutil.Process] = []

    def start_head(self) -> None:
        """Start the head, and wait until its Jobs API answers."""
        ports = ("--port", str(self._gcs), "--ray-client-server-port", str(free_port()))
        dashboard = ("--dashboard-host", HOST, "--dashboard-port", str(self._dashboard), "--include-dashboard", "true")
        head = self._start("--head", *ports, *dashboard, "--temp-dir", str(self._folder), "--num-cpus", "0")
        eventually(lambda: self._answers(head))

    def add_node(self, slots: int) -> psutil.Process:
        """Start a node that runs so many stages at once."""
        resources = json.dumps({SLOTS: slots})
        return self._start("--address", f"{HOST}:{self._gcs}", "--num-cpus", str(slots), "--resources", resources)

    def kill(self, node: psutil.Process) -> None:
        """Kill every process of a node at once, as when its machine is gone."""
        every = [node, *node.children(recursive=True)]
        for process in every:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(every, timeout=30)

    def at_work(self, stage: str) -> list[psutil.Process]:
        """The processes of a stage on any node."""
        return [process for node in self.nodes for process in stage_processes(node, stage)]

    def end(self) -> list[str]:
        """Kill the nodes and the head; what is left of them, which is nothing."""
        for node in reversed(self.nodes):
            with suppress(psutil.NoSuchProcess):
                self.kill(node)
        eventually(lambda: not self._left(), limit_s=30)
        return self._left()

    def _start(self, *arguments: str) -> psutil.Process:
        number = len(self.nodes)
        options = [
            *("--block", "--disable-usage-stats", "--node-ip-address", HOST, "--num-gpus", "0"),
            *("--object-store-memory", OBJECT_STORE, "--min-worker-port", "0", "--max-worker-port", "0"),
            *("--dashboard-agent-listen-port", str(free_port())),
        ]
        with (self._folder / f"node-{number}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "ray.scripts.scripts", "start", *arguments, *options],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.nodes.append(psutil.Process(process.pid))
        return self.nodes[-1]

    def _answers(self, head: psutil.Process) -> bool:
        assert head.is_running() and head.status() != psutil.STATUS_ZOMBIE, self._log(0)
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.address}/api/version", timeout=5, trust_env=False).status_code == 200
        return False

    def _log(self, number: int) -> str:
        return (self._folder / f"node-{number}.log").read_text(encoding="utf-8", errors="replace")[-2000:]

    def _left(self) -> list[str]:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                words = " ".join(process.cmdline())
                if str(self._folder) in words and process.pid != os.getpid():
                    found.append(words)
        return found


def stage_processes(node: psutil.Process, stage: str) -> list[psutil.Process]:
    """The processes of a stage on a node."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for process in node.children(recursive=True):
            with suppress(psutil.Error):
                words = process.cmdline()
                if "tao_ops.cli" in words and stage in words:
                    found.append(process)
    return found


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server((HOST, 0)) as free:
        return int(free.getsockname()[1])


@contextmanager
def ray_cluster(environment: Mapping[str, str]) -> Iterator[RayCluster]:
    """A cluster with a head alone; nothing of it stays.

    Args:
        environment: of all its processes, and so of the stages that they run.
    """
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short, for the sockets' paths
    cluster = RayCluster(folder, environment)
    try:
        cluster.start_head()
        yield cluster
    finally:
        assert cluster.end() == []
        shutil.rmtree(folder, ignore_errors=True)
