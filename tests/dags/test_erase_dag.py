"""The DAG that erases a person's data: its form takes no name of one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError
from airflow.sdk.log import redact
from tao_airflow.erase import VARIABLE

Fill = Callable[..., dict[str, Any]]
PROJECT = Path(__file__).resolve().parents[2]
HASH = "5b2f" * 8
RIGHT = {
    "flywheel": None,
    "user_hash": None,
    "user_variable": None,
    "query_id": None,
    "reason": "case 17",
    "dry_run": True,
}


def test_it_runs_by_hand_and_is_tried_again(dags: dict[str, Any]) -> None:
    assert dags["erase"].schedule is None
    (task,) = dags["erase"].tasks
    assert (task.task_id, task.retries, task.flywheels) == ("erase", 2, ["tickets"])


def test_it_knows_the_flywheels_that_it_cannot_read(flywheels: Path) -> None:
    (flywheels / "broken.yaml").write_text("tasks: 3\n", encoding="utf-8")
    bag = DagBag(PROJECT / "dags" / "erase.py")
    (task,) = bag.dags["erase"].tasks
    assert (task.flywheels, task.unreadable) == (["tickets"], ["broken"])


@pytest.mark.parametrize(
    "asked",
    [
        {"user_hash": HASH},
        {"query_id": HASH, "flywheel": "tickets"},
        {"user_variable": "erase_secret", "dry_run": False},
        {"user_variable": "erase_secret_17"},
    ],
    ids=str,
)
def test_a_form_that_is_filled_in_is_taken_and_is_a_dry_run_by_itself(fill_in: Fill, asked: dict[str, Any]) -> None:
    assert fill_in("erase", reason="case 17", **asked) == RIGHT | asked


@pytest.mark.parametrize(
    "wrong",
    [
        {"user_hash": "anna@example.org"},
        {"user_hash": HASH[:-1]},
        {"user_hash": HASH.upper()},
        {"query_id": "anna"},
        {"user_variable": "anna"},
        {"user_variable": "anna_erase_secret"},
        {"user_variable": "erase_secret anna@example.org"},
        {"flywheel": "ticket", "user_hash": HASH},
        {"user_hash": HASH, "reason": " "},
        {"user_hash": HASH, "dry_run": "no"},
    ],
    ids=str,
)
def test_a_wrong_form_starts_no_run_so_that_no_name_is_stored(fill_in: Fill, wrong: dict[str, Any]) -> None:
    with pytest.raises(ParamValidationError):
        fill_in("erase", **RIGHT | wrong)


def test_the_form_says_what_is_stored(dags: dict[str, Any]) -> None:
    for name in ("user_hash", "user_variable", "query_id", "reason"):
        assert "stored" in dags["erase"].params.get_param(name).description
    assert "What is stored" in dags["erase"].doc_md


def test_airflow_shows_no_value_of_the_variable() -> None:
    assert redact("anna@example.org", f"{VARIABLE}_17") == "***"
