"""Airflow and PostgreSQL for real, on a free port, in a home folder of their own."""

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from tao_ops.config import Flywheel, load_flywheel
from tao_ops.example.logs import write_logs
from tao_ops.local import processes
from tao_ops.local.services import down, up
from tao_ops.local.state import Services
from tao_ops.settings import Settings

QUERIES, ITEMS, SAMPLES = 12, 6, {"plain": 1, "demonstrations": 2}
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty ``TAO_HOME``; the converted model is the same for every home, so it is found where it was made."""
    folder = Path(tempfile.mkdtemp(prefix="tao-"))  # short, for the database's socket
    monkeypatch.setenv("TAO_HOME", str(folder))
    monkeypatch.setenv("TAO_CACHE", os.environ.get("TAO_CACHE") or str(PROJECT / ".tao" / "cache"))
    for name in ("TAO_LAKE", "TAO_DATABASE_URL", "TAO_HASH_KEY", "TAO_PYTHON"):
        monkeypatch.delenv(name, raising=False)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def start_airflow(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Services]]:
    """Starts the services with the environment as it is then; whatever happens, nothing of them stays."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("TAO_PORT", str(free.getsockname()[1]))

    def start() -> Services:
        services, ours = up(Settings.from_env(), lambda line: None)
        assert ours
        return services

    yield start
    down(home)
    assert processes.members([], home) == []


@pytest.fixture
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of ``include/`` to change."""
    folder = tmp_path / "include"
    shutil.copytree(PROJECT / "include", folder)
    monkeypatch.setenv("TAO_INCLUDE", str(folder))
    return folder


def make_small(include: Path) -> None:
    """A flywheel of few queries, few samples and few benchmark items, beside no other."""
    told = yaml.safe_load((include / "flywheels" / "tickets.yaml").read_text(encoding="utf-8"))
    told |= {"name": "small", "update": told["update"] | {"min_reward": 0.0, "min_rows": 1, "epochs": 1}}
    task = told["tasks"]["tickets"]
    task["max_tokens"] = 32
    for strategy in task["strategies"]:
        strategy["samples"] = SAMPLES[strategy["name"]]
    (include / "flywheels" / "tickets.yaml").unlink()
    (include / "flywheels" / "small.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")
    items = include / "benchmarks" / "tickets" / "items.jsonl"
    items.write_text("".join(items.read_text(encoding="utf-8").splitlines(keepends=True)[:ITEMS]), encoding="utf-8")


@pytest.fixture
def small(include: Path, home: Path) -> Flywheel:
    """The flywheel ``small`` and one day of logs for it."""
    make_small(include)
    loaded = load_flywheel("small")
    write_logs(
        home / "logs" / "tickets",
        seed=7,
        today=datetime.now(UTC).date(),
        system_prompt=loaded.prompt("tickets"),
        days=1,
        per_day=QUERIES,
    )
    return loaded
