"""One Airflow for all tests of this folder: each brings flywheels of its own, and takes them away again."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest
import yaml

from tao_ops.local.client import AirflowClient
from tao_ops.settings import PROJECT
from tests.e2e.operated.started import Operated, operated
from tests.e2e.operated.watching import eventually


@pytest.fixture(scope="package")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    """The Airflow of this folder's tests."""
    with operated(tmp_path_factory.mktemp("operated")) as found:
        yield found


@pytest.fixture
def client(airflow: Operated) -> Iterator[AirflowClient]:
    """Airflow's REST API as its administrator."""
    with airflow.services.client() as made:
        yield made


@pytest.fixture
def with_flywheels(airflow: Operated, client: AirflowClient) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Adds flywheels by name, each the shipped one but for these keys; a key of a section replaces that key alone."""
    written = []

    def add(changes: Mapping[str, Any]) -> None:
        shipped = yaml.safe_load((PROJECT / "include" / "flywheels" / "tickets.yaml").read_text(encoding="utf-8"))
        for name, changed in changes.items():
            sections = {key: shipped.get(key, {}) | value for key, value in changed.items()}
            path = airflow.include / "flywheels" / f"{name}.yaml"
            path.write_text(yaml.safe_dump(shipped | {"name": name} | sections), encoding="utf-8")
            written.append(path)
        for name in changes:
            eventually(lambda name=name: client.dag(f"flywheel_{name}"))

    yield add
    for path in written:
        client.ask("PATCH", f"dags/flywheel_{path.stem}", json={"is_paused": True})
        path.unlink()


@pytest.fixture
def viewer(airflow: Operated) -> Iterator[httpx.Client]:
    """A client of the user ``viv``, who may look and touch nothing."""
    with httpx.Client(base_url=airflow.services.url, timeout=30, trust_env=False) as made:
        answer = made.post("/auth/token", json={"username": "viv", "password": airflow.password("viv")})
        made.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield made
