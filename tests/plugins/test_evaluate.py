"""The evaluation as a task: its command line, and what becomes of its end."""

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from tao_airflow.evaluate import EvaluateOperator

Context = Callable[..., dict[str, Any]]
ASKED = {"flywheel": "tickets", "version": None, "benchmark": None, "limit": None}


def run(context: Context, **asked: Any) -> None:
    EvaluateOperator(task_id="evaluate").execute(context(params=ASKED | asked))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, []),
        ({"version": 0}, ["0"]),
        ({"version": 2, "benchmark": "tickets"}, ["2", "--benchmark", "tickets"]),
        ({"version": 2.0, "limit": 50.0}, ["2", "--limit", "50"]),
    ],
    ids=["the champion on all", "the base model", "a version on one", "as JSON may write numbers"],
)
def test_the_form_becomes_the_command(
    stand_in: Any, task_log: list[str], context: Context, asked: dict[str, Any], words: list[str]
) -> None:
    stand_in.does("print('tickets   exact_json   400   92.0 %')")
    run(context, **asked)
    (call,) = stand_in.calls
    assert call["arguments"] == ["registry", "evaluate", "tickets", *words]
    assert " ".join(["tao registry evaluate tickets", *words]) in task_log
    assert any("92.0 %" in line for line in task_log)


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        ("print('error: there is no benchmark x'); sys.exit(1)", AirflowFailException),
        ("print('error: the engine died'); sys.exit(75)", AirflowException),
    ],
    ids=["a wrong benchmark", "an engine that died"],
)
def test_only_what_may_mend_itself_is_tried_again(
    stand_in: Any, task_log: list[str], context: Context, behaviour: str, kind: type[Exception]
) -> None:
    stand_in.does(behaviour)
    with pytest.raises(kind, match="error: the") as caught:
        run(context)
    assert type(caught.value) is kind  # AirflowFailException is an AirflowException that is not retried
