"""What a stage tells OpenLineage: the tables that it reads and writes, with their versions."""

from pathlib import Path
from typing import Any

import pytest
from tao_airflow.openlineage import FLOW, TABLES, address
from tao_airflow.stage_operator import StageOperator

from tao_ops.stages import Stage
from tao_ops.tables import TABLES as OF_THE_LAKE


@pytest.fixture(autouse=True)
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TAO_LAKE", str(tmp_path))
    return tmp_path


def score() -> StageOperator:
    return StageOperator(task_id="score", stage="score", flywheel="tickets")


def told(datasets: list[Any]) -> list[tuple[str, str, str | None]]:
    return [
        (each.namespace, each.name, each.facets["version"].datasetVersion if each.facets else None) for each in datasets
    ]


def test_a_stage_that_ran_names_the_tables_with_their_versions(lake: Path) -> None:
    task = score()
    task.report = {"inputs": {"prompts": 3, "responses": 5}, "output_version": 6, "rows_out": 12, "metrics": {}}
    found = task.get_openlineage_facets_on_complete(None)
    assert told(found.inputs) == [("file", f"{lake}/prompts", "3"), ("file", f"{lake}/responses", "5")]
    assert told(found.outputs) == [("file", f"{lake}/rewards", "6")]
    assert found.outputs[0].outputFacets["outputStatistics"].rowCount == 12


def test_before_it_ran_there_are_no_versions(lake: Path) -> None:
    found = score().get_openlineage_facets_on_start()
    assert told(found.inputs) == [("file", f"{lake}/prompts", None), ("file", f"{lake}/responses", None)]
    assert found.outputs[0].outputFacets == {}


def test_a_registered_model_has_its_version() -> None:
    task = StageOperator(task_id="register", stage="register", flywheel="tickets")
    task.report = {"inputs": {}, "output_version": None, "rows_out": 1, "metrics": {"version": 4}}
    found = task.get_openlineage_facets_on_complete(None)
    assert told(found.outputs) == [("tao", "tickets/model", "4")]


def test_every_stage_is_there_and_every_table_is_one_of_the_lake() -> None:
    assert list(FLOW) == [stage.value for stage in Stage]
    assert set(TABLES) <= set(OF_THE_LAKE)


def test_a_table_in_a_bucket_is_named_by_the_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAO_LAKE", "s3://team/lake/")
    assert address("tickets", "queries") == ("s3://team", "lake/queries")
