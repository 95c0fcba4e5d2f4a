"""The rollback as a task: its command, in whose name, and the event of the model."""

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from tao_airflow.assets import Kind, outlet
from tao_airflow.rollback import RollbackOperator

Context = Callable[..., dict[str, Any]]
ASKED = {"flywheel": "tickets", "version": None, "reason": "it\nswears"}


def run(context: Context, user: str | None = "ann", **asked: Any) -> dict[str, Any]:
    given = context(run_id="manual__1", triggering_user_name=user, params=ASKED | asked)
    RollbackOperator(task_id="rollback", flywheels=["orders", "tickets"]).execute(given)
    return given


@pytest.mark.parametrize(
    ("version", "target"),
    [(None, []), (2, ["--to", "2"]), (2.0, ["--to", "2"]), (0, ["--to", "0"])],
    ids=["before", "a version", "as JSON may write it", "base"],
)
def test_it_rolls_back_in_the_name_of_who_started_it(
    stand_in: Any, task_log: list[str], context: Context, version: int | None, target: list[str]
) -> None:
    given = run(context, version=version)
    assert stand_in.calls[0]["arguments"] == [
        *("registry", "rollback", "tickets", *target, "--reason=it swears", "--by=ann")
    ]
    (event,) = given["outlet_events"][outlet("tickets", Kind.MODEL)].asset_alias_events
    assert event.dest_asset_key.name == "tickets/model"
    assert event.extra == {"version": version, "who": "ann", "run_id": "manual__1"}


def test_a_run_that_nobody_started_signs_with_its_id(stand_in: Any, task_log: list[str], context: Context) -> None:
    run(context, user=None)
    assert stand_in.calls[0]["arguments"][-1] == "--by=run manual__1"


def test_what_the_registry_refuses_fails_in_its_words_and_has_no_event(
    stand_in: Any, task_log: list[str], context: Context
) -> None:
    stand_in.does("print('error: tickets has no version 9'); sys.exit(1)")
    given = context(run_id="manual__1", triggering_user_name="ann", params=ASKED | {"version": 9})
    with pytest.raises(AirflowFailException, match="error: tickets has no version 9"):
        RollbackOperator(task_id="rollback", flywheels=["tickets"]).execute(given)
    assert given["outlet_events"][outlet("tickets", Kind.MODEL)].asset_alias_events == []
