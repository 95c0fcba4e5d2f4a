"""The upkeep as a task: what a scheduled run does, and what a form asks for."""

from collections.abc import Callable
from typing import Any

import pytest
from tao_airflow.maintenance import MaintenanceOperator, form

Context = Callable[..., dict[str, Any]]
SCHEDULED = {name: field.value for name, field in form(["tickets"]).items()}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, ["--keep-files", "7d"]),
        ({"flywheel": "tickets", "dry_run": True}, ["tickets", "--keep-files", "7d", "--dry-run"]),
        ({"keep_files": "36h"}, ["--keep-files", "36h"]),
    ],
    ids=["as scheduled", "one flywheel, dry", "files"],
)
def test_the_form_becomes_the_command(
    stand_in: Any, task_log: list[str], context: Context, asked: dict[str, Any], words: list[str]
) -> None:
    MaintenanceOperator(task_id="maintain").execute(context(params=SCHEDULED | asked))
    assert [call["arguments"] for call in stand_in.calls] == [["lake", "maintain", *words]]
