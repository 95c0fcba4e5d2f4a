"""``accelerate launch`` of a training's processes on this machine, and its end."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from tao_ops.errors import ConfigError
from tao_ops.settings import PROJECT

GRACE_S = 20.0
"""From the end of training, or the first that failed, to the end of all."""


def configuration(path: Path) -> dict[str, Any]:
    """The configuration, with its number of processes.

    Raises:
        ConfigError: it cannot be read, or says more than one machine.
    """
    where, mend = f"update.accelerate: {path}", "include/accelerate/ has some that work"
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"the configuration cannot be read: {error}", where=where, mend=mend) from None
    if not isinstance(told, dict) or not isinstance(told.get("num_processes", 0), int):
        raise ConfigError("this is no configuration of accelerate launch", where=where, mend=mend)
    if told.get("num_machines", 1) != 1:
        raise ConfigError("the processes are of one machine", where=where, mend="set num_machines to 1")
    processes = told.get("num_processes") or _gpus()
    if processes < 1:
        raise ConfigError("there is no GPU here to count", where=where, mend="set num_processes")
    return {**told, "num_processes": processes}


def _gpus() -> int:
    """GPUs that this process may use, without taking hold of one."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([one for one in visible.split(",") if one.strip()])
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in listed.splitlines())


@contextmanager
def launched(path: Path, config: Mapping[str, Any], address: str) -> Iterator["subprocess.Popen[bytes]"]:
    """``accelerate launch`` in a session of its own, and its end."""
    processes = config["num_processes"]
    options = ["--config_file", str(path), "--num_processes", str(processes)]
    if "main_process_port" not in config:
        options += ["--main_process_port", "0"]  # any that is free: another training may run on this machine
    launcher = subprocess.Popen(
        [sys.executable, "-m", "accelerate.commands.launch", *options, "-m", "tao_ops.updating", address],
        env=_environment(processes, cpu=bool(config.get("use_cpu"))),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield launcher
    finally:
        _end(launcher)


def _environment(processes: int, *, cpu: bool) -> dict[str, str]:
    path = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = max(1, len(os.sched_getaffinity(0)) // processes)
    told = {"OMP_NUM_THREADS": str(threads), **os.environ}
    told |= {"PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1"}
    return {**told, "CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"} if cpu else told


def _end(launcher: "subprocess.Popen[bytes]") -> None:
    """End it: TERM, which it passes on, then KILL; its processes end by themselves as their connections are closed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if launcher.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(launcher.pid, number)
            with suppress(subprocess.TimeoutExpired):
                launcher.wait(GRACE_S)
    assert launcher.stdout is not None
    launcher.stdout.close()
