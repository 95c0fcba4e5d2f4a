"""The forms of DAGs, as Airflow checks them, and a folder of flywheels that a test may spoil."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def flywheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``include/flywheels`` in a copy of ``include`` that the DAGs are made from."""
    include = tmp_path / "include"
    shutil.copytree(PROJECT / "include", include)
    monkeypatch.setenv("TAO_INCLUDE", str(include))
    return include / "flywheels"


@pytest.fixture(scope="session")
def dags() -> dict[str, Any]:
    """All DAGs of the folder, by id."""
    bag = DagBag(PROJECT / "dags")
    assert bag.import_errors == {}
    return dict(bag.dags)


@pytest.fixture(scope="session")
def fill_in(dags: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """Fills in the form of a DAG, and lets Airflow check it as it does before it makes a run."""

    def fill(dag_id: str, **fields: Any) -> dict[str, Any]:
        form = copy.deepcopy(dags[dag_id].params)
        form.update(fields)
        return dict(form.validate())

    return fill
