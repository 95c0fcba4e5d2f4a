"""Airflow and PostgreSQL for real, on a free port, in a home folder of their own."""

import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tao_ops.local import processes
from tao_ops.local.services import down, up
from tao_ops.local.state import Services
from tao_ops.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def start_airflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Services]]:
    """Starts the services with the environment as it is then; whatever happens, nothing of them stays."""
    home = Path(tempfile.mkdtemp(prefix="tao-"))  # short, for the database's socket
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("TAO_PORT", str(free.getsockname()[1]))
    monkeypatch.setenv("TAO_HOME", str(home))
    for name in ("TAO_LAKE", "TAO_DATABASE_URL", "TAO_HASH_KEY", "TAO_PYTHON"):
        monkeypatch.delenv(name, raising=False)

    def start() -> Services:
        services, ours = up(Settings.from_env(), lambda line: None)
        assert ours
        return services

    yield start
    down(home)
    left = processes.members([], home)
    shutil.rmtree(home, ignore_errors=True)
    assert left == []


@pytest.fixture
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of ``include/`` to change."""
    folder = tmp_path / "include"
    shutil.copytree(PROJECT / "include", folder)
    monkeypatch.setenv("TAO_INCLUDE", str(folder))
    return folder
