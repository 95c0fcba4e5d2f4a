"""The DAG that takes a promotion back: its form and its policies."""

import copy
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError

PROJECT = Path(__file__).resolve().parents[2]
RIGHT = {"flywheel": "tickets", "version": None, "reason": "it swears"}


@pytest.fixture(scope="module")
def dag() -> Any:
    bag = DagBag(PROJECT / "dags" / "rollback.py")
    assert bag.import_errors == {}
    return bag.dags["rollback"]


def fill_in(dag: Any, **fields: Any) -> Any:
    form = copy.deepcopy(dag.params)
    form.update(RIGHT | fields)
    return form.validate()


def test_it_runs_by_hand_alone_and_never_twice_by_itself(dag: Any) -> None:
    assert (dag.schedule, dag.max_active_runs, dag.tags) == (None, 1, {"tao"})
    assert dag.doc_md and dag.description
    (task,) = dag.tasks
    assert (task.task_id, task.owner, task.retries) == ("rollback", "tao", 0)
    assert task.execution_timeout is not None
    assert [each.name for each in task.outlets] == ["tickets/model"]


@pytest.mark.parametrize("version", [None, 0, 3])
def test_a_form_that_is_filled_in_is_taken(dag: Any, version: int | None) -> None:
    assert fill_in(dag, version=version) == RIGHT | {"version": version}


@pytest.mark.parametrize(
    "wrong",
    [{"flywheel": "ticket"}, {"reason": ""}, {"reason": "  "}, {"version": -1}, {"version": "two"}],
    ids=["an unknown flywheel", "no reason", "a blank reason", "a negative version", "no number"],
)
def test_a_wrong_form_starts_no_run(dag: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ParamValidationError):
        fill_in(dag, **wrong)


def test_the_form_does_not_make_the_base_model_of_a_negative_version(dag: Any) -> None:
    # Airflow's form silently raises a number to the field's minimum, and 0 is the base model.
    assert "minimum" not in dag.params.get_param("version").schema
