"""The DAG that takes a promotion back: its form and its policies."""

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import ParamValidationError

Fill = Callable[..., dict[str, Any]]
RIGHT = {"flywheel": "tickets", "version": None, "reason": "it swears"}


def test_it_runs_by_hand_alone_and_never_twice_by_itself(dags: dict[str, Any]) -> None:
    assert dags["rollback"].schedule is None
    (task,) = dags["rollback"].tasks
    assert (task.task_id, task.retries) == ("rollback", 0)
    assert [each.name for each in task.outlets] == ["tickets/model"]


@pytest.mark.parametrize("version", [None, 0, 3])
def test_a_form_that_is_filled_in_is_taken(fill_in: Fill, version: int | None) -> None:
    assert fill_in("rollback", **RIGHT | {"version": version}) == RIGHT | {"version": version}


@pytest.mark.parametrize(
    "wrong",
    [
        {"flywheel": "ticket"},
        {"flywheel": None},
        {"reason": ""},
        {"reason": "  "},
        {"reason": "x" * 1001},
        {"version": -1},
        {"version": 1.5},
        {"version": True},
        {"version": "two"},
    ],
    ids=str,
)
def test_a_wrong_form_starts_no_run(fill_in: Fill, wrong: dict[str, Any]) -> None:
    with pytest.raises(ParamValidationError):
        fill_in("rollback", **RIGHT | wrong)


def test_a_form_without_a_reason_starts_no_run(fill_in: Fill) -> None:
    with pytest.raises(ParamValidationError):
        fill_in("rollback", flywheel="tickets")


def test_the_form_does_not_make_the_base_model_of_a_negative_version(dags: dict[str, Any]) -> None:
    # Airflow's form silently raises a number to the field's minimum, and 0 is the base model.
    for name in ("rollback", "evaluate"):
        assert "minimum" not in dags[name].params.get_param("version").schema
