"""Processes of the benchmark, measured from outside."""

import os
import signal
import socket
import subprocess

import psutil


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def stopped(process: "subprocess.Popen[bytes]") -> None:
    """End a process and its children."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def cpu_s(pid: int | None) -> float:
    """Seconds of CPU that a process and its children have used; 0 where there is none."""
    if pid is None:
        return 0.0
    try:
        one = psutil.Process(pid)
        every = [one, *one.children(recursive=True)]
        return sum(sum(each.cpu_times()[:2]) for each in every)
    except psutil.NoSuchProcess:
        return 0.0


def rss_mib(pid: int | None) -> float:
    """MiB of memory that a process holds now."""
    if pid is None:
        return 0.0
    held: int = psutil.Process(pid).memory_info().rss
    return held / (1 << 20)
