"""Processes that outlive the command that starts them: each in its own session, ended with all their offspring."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tao_ops.local.environment import MARK

POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Service:
    """A process that leads its session; ``started`` tells it from a later process with the same id."""

    name: str
    pid: int
    started: float

    def alive(self) -> bool:
        """Whether the leader itself still runs."""
        try:
            process = psutil.Process(self.pid)
            return bool(process.create_time() == self.started and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False


def start(name: str, command: Sequence[str], env: Mapping[str, str], log: Path) -> Service:
    """Start ``command`` in its own session with its output appended to ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        popen = subprocess.Popen(
            list(command),
            env=dict(env),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Service(name, popen.pid, psutil.Process(popen.pid).create_time())


def members(services: Sequence[Service], home: Path) -> list[psutil.Process]:
    """Every process of these services: of their sessions, their offspring, and what carries their mark.

    A stage leads a session of its own, and a killed service leaves its offspring without a parent:
    each of the three finds what the other two may miss.
    """
    own = {service.pid: service.started for service in services if _is_session_of(service)}
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if os.getsid(process.pid) in own or process.environ().get(MARK) == str(home):
                found[process.pid] = process
    for process in list(found.values()):
        with suppress(psutil.Error):
            found.update({child.pid: child for child in process.children(recursive=True)})
    return list(found.values())


def stop(waves: Sequence[Sequence[Service]], home: Path, *, grace_s: float = 15.0) -> None:
    """End services wave by wave: TERM to their groups; after ``grace_s``, KILL to whatever is left of any."""
    for wave in waves:
        for service in wave:
            if service.alive():
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(service.pid, signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while _reap(wave) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    services = [service for wave in waves for service in wave]
    for _ in range(100):  # what is killed may have been starting another process
        left = members(services, home)
        if not left:
            return
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        _reap(services)
        psutil.wait_procs(left, timeout=0.2)


def listens(service: Service, port: int) -> bool:
    """Whether the service, or a process that it started, listens on ``port``."""
    with suppress(psutil.Error):
        leader = psutil.Process(service.pid)
        for process in (leader, *leader.children(recursive=True)):
            with suppress(psutil.Error):
                sockets = process.net_connections(kind="tcp")
                if any(s.status == psutil.CONN_LISTEN and s.laddr.port == port for s in sockets):
                    return True
    return False


def listener(port: int) -> str:
    """Who listens on ``port``, as far as this user may know."""
    with suppress(psutil.Error):
        for socket in psutil.net_connections(kind="tcp"):
            if socket.status == psutil.CONN_LISTEN and socket.laddr and socket.laddr.port == port and socket.pid:
                return f"process {socket.pid} ({psutil.Process(socket.pid).name()})"
    return "another process"


def tail(log: Path, lines: int = 15) -> str:
    """The end of a log file."""
    with suppress(OSError):
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    return ""


def _is_session_of(service: Service) -> bool:
    """No, where the leader is gone and its id was given to another process since."""
    return service.alive() or not psutil.pid_exists(service.pid)


def _reap(services: Sequence[Service]) -> bool:
    """Collect the dead that are children of this process; True while one service still runs."""
    for service in services:
        with suppress(ChildProcessError):
            os.waitpid(service.pid, os.WNOHANG)
    return any(service.alive() for service in services)


def end_leader(service: Service, *, grace_s: float) -> None:
    """End one process, not its offspring: TERM, and KILL after ``grace_s``."""
    for number, limit_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        if not service.alive():
            return
        with suppress(ProcessLookupError):
            os.kill(service.pid, number)
        deadline = time.monotonic() + limit_s
        while _reap([service]) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
