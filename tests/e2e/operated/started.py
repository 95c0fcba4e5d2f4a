"""An Airflow for tests that operate it: the stand-in for its stages, a viewer beside its administrator."""

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tao_ops.local import processes
from tao_ops.local import services as local_services
from tao_ops.local.services import down, up
from tao_ops.local.state import Services
from tao_ops.settings import PROJECT, Settings
from tests.e2e.operated.stand_in import install

USERS = "admin:admin,viv:viewer"


@dataclass(frozen=True)
class Operated:
    """An Airflow at work.

    Attributes:
        include: the folder of its flywheels, a copy to change.
        lineage: where OpenLineage's events go.
        folder: a place for what flywheels need.
        env: the environment that Airflow's services have.
    """

    services: Services
    include: Path
    lineage: Path
    folder: Path
    env: dict[str, str]

    def password(self, user: str) -> str:
        """Airflow's, for who logs in."""
        passwords = json.loads((self.services.home / "airflow" / "passwords.json").read_text(encoding="utf-8"))
        return str(passwords[user])


@contextmanager
def operated(folder: Path, settings: Mapping[str, str] = {}) -> Iterator[Operated]:
    """Airflow with the stand-in, a viewer, a file for OpenLineage's events, and no flywheel; nothing of it stays.

    ``settings`` replaces some of Airflow's own, by the names of their variables.
    """
    home = Path(tempfile.mkdtemp(prefix="tao-"))  # short, for the database's socket
    include, lineage = folder / "include", folder / "events.jsonl"
    shutil.copytree(PROJECT / "include", include)
    shutil.rmtree(include / "flywheels")
    (include / "flywheels").mkdir()
    whole, env = local_services.service_environment, {}

    def changed(*arguments: Any) -> dict[str, str]:
        env.update(whole(*arguments) | {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": USERS, **settings})
        return env

    with pytest.MonkeyPatch.context() as patch:
        for name in ("TAO_LAKE", "TAO_DATABASE_URL", "TAO_HASH_KEY"):
            patch.delenv(name, raising=False)
        patch.setenv("TAO_CACHE", os.environ.get("TAO_CACHE") or str(PROJECT / ".tao" / "cache"))
        with socket.create_server(("127.0.0.1", 0)) as free:
            patch.setenv("TAO_PORT", str(free.getsockname()[1]))
        patch.setenv("TAO_HOME", str(home))
        patch.setenv("TAO_INCLUDE", str(include))
        patch.setenv("TAO_PYTHON", str(install(folder / "python")))
        transport = {"type": "file", "log_file_path": str(lineage), "append": True}
        patch.setenv("OPENLINEAGE__TRANSPORT", json.dumps(transport))
        patch.setattr(local_services, "service_environment", changed)
        try:
            services, ours = up(Settings.from_env(), lambda line: None)
            assert ours
            yield Operated(services, include, lineage, folder, env)
        finally:
            down(home)
            assert processes.members([], home) == []
            shutil.rmtree(home, ignore_errors=True)
