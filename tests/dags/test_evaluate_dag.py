"""The DAG that scores any version on any benchmark: its form and its policies."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError

PROJECT = Path(__file__).resolve().parents[2]
Fill = Callable[..., dict[str, Any]]
RIGHT = {"flywheel": "tickets", "version": None, "benchmark": None, "limit": None}


def test_it_runs_by_hand_waits_for_the_pool_and_moves_no_champion(dags: dict[str, Any]) -> None:
    assert dags["evaluate"].schedule is None
    (task,) = dags["evaluate"].tasks
    assert (task.task_id, task.pool, task.retries, task.outlets) == ("evaluate", "gpu", 2, [])


@pytest.mark.parametrize("asked", [{}, {"version": 0}, {"version": 4, "benchmark": "tickets"}, {"limit": 1}], ids=str)
def test_a_form_that_is_filled_in_is_taken(fill_in: Fill, asked: dict[str, Any]) -> None:
    assert fill_in("evaluate", flywheel="tickets", **asked) == RIGHT | asked


@pytest.mark.parametrize(
    "wrong",
    [
        {"flywheel": "ticket"},
        {"benchmark": "exam"},
        {"benchmark": ""},
        {"version": -1},
        {"version": "champion"},
        {"limit": 0},
        {"limit": 2.5},
    ],
    ids=str,
)
def test_a_wrong_form_starts_no_run(fill_in: Fill, wrong: dict[str, Any]) -> None:
    with pytest.raises(ParamValidationError):
        fill_in("evaluate", **RIGHT | wrong)


def test_the_form_says_whose_each_benchmark_is(flywheels: Path) -> None:
    text = (flywheels / "tickets.yaml").read_text("utf-8").replace("name: tickets\n", "name: orders\n", 1)
    (flywheels / "orders.yaml").write_text(text, encoding="utf-8")
    bag = DagBag(PROJECT / "dags" / "evaluate.py")
    field = bag.dags["evaluate"].params.get_param("benchmark").schema
    assert field["enum"] == [None, "tickets"]
    assert field["values_display"] == {
        "null": "all benchmarks of the flywheel",
        "tickets": "tickets (of orders, tickets)",
    }
