"""A person's word on a promotion: what they are asked, and what is done with their answer or without one."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskAwaitingInput
from tao_airflow.approval import LONGEST, ApproveOperator, ReleaseOperator, in_one_line

Context = Callable[..., dict[str, Any]]
PENDING = {"register": {"metrics": {"version": 4, "decision": "promote", "alias": None, "pending": True}}}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What Airflow is asked to show."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **question: found.append(question)
    )
    return found


@pytest.fixture
def pending(context: Context, run_folder: Path, task_log: list[str]) -> dict[str, Any]:
    """The context of a run whose version waits, its report beside it."""
    (run_folder / "report.md").write_text("# Promote\n\nBetter by 4 points.\n", encoding="utf-8")
    made = context(run_id="manual__1", xcom=PENDING)
    made["ti"].id = "an id"
    return made | {"task_instance": made["ti"]}


def approve() -> ApproveOperator:
    return ApproveOperator(task_id="approve", flywheel="tickets", limit=timedelta(hours=20))


def event(option: str, user: dict[str, str] | None, reason: str | None) -> dict[str, Any]:
    return {
        "chosen_options": [option],
        "params_input": {"reason": reason},
        "responded_at": datetime(2026, 11, 22, tzinfo=UTC),
        "responded_by_user": user,
    }


def test_it_waits_for_an_answer_with_the_report_in_front_of_the_person(
    pending: dict[str, Any], asked: list[dict[str, Any]], task_log: list[str]
) -> None:
    with pytest.raises(TaskAwaitingInput) as waiting:
        approve().execute(pending)
    assert waiting.value.timeout == timedelta(hours=20)
    (question,) = asked
    assert question["subject"] == "Promote version 4 of tickets, turn 2026-11-21T00:00Z?"
    limit, report = question["body"].split("\n\n", 1)
    assert report == "# Promote\n\nBetter by 4 points.\n"
    (until,) = re.findall(r"nobody answers by (\S+ \S+) UTC, it is rejected", limit)
    left = datetime.fromisoformat(f"{until}+00:00") - datetime.now(UTC)
    assert timedelta(hours=19, minutes=58) < left <= timedelta(hours=20)
    assert f"Until {until} UTC, under Required Actions: {question['subject']}" in task_log
    assert (question["options"], question["defaults"]) == (["Approve", "Reject"], ["Reject"])
    assert list(question["params"]) == ["reason"] and question["params"]["reason"]["value"] is None


def test_a_report_is_never_read_as_a_template(
    pending: dict[str, Any], run_folder: Path, asked: list[dict[str, Any]]
) -> None:
    (run_folder / "report.md").write_text("{{ var.value.secret }}", encoding="utf-8")
    task = approve()
    with pytest.raises(TaskAwaitingInput):
        task.execute(pending)
    assert asked[0]["body"].endswith("\n\n{{ var.value.secret }}")
    assert "secret" not in str(task.hitl_summary)


def test_a_huge_report_is_shortened_and_says_where_the_rest_is(
    pending: dict[str, Any], run_folder: Path, asked: list[dict[str, Any]]
) -> None:
    (run_folder / "report.md").write_text("a line of it\n" * 10_000, encoding="utf-8")
    with pytest.raises(TaskAwaitingInput):
        approve().execute(pending)
    body = asked[0]["body"]
    assert len(body) < LONGEST + 300 and "\n\na line of it\na line of it\n" in body
    assert body.endswith(f"characters more, in `{run_folder / 'report.md'}`.")


def test_nobody_is_asked_without_a_report(
    pending: dict[str, Any], run_folder: Path, asked: list[dict[str, Any]]
) -> None:
    (run_folder / "report.md").unlink()
    with pytest.raises(AirflowFailException, match=r"no report.md among the run's artifacts .*clear the task gate"):
        approve().execute(pending)
    assert asked == []


@pytest.mark.parametrize("decision", ["promote", "reject", "undecided"])
def test_it_skips_itself_where_nothing_waits(context: Context, asked: list[dict[str, Any]], decision: str) -> None:
    given = context(xcom={"register": {"metrics": {"version": 4, "decision": decision, "alias": None}}})
    with pytest.raises(AirflowSkipException, match=decision):
        approve().execute(given)
    assert asked == []


@pytest.mark.parametrize(
    ("option", "user", "reason", "answer"),
    [
        ("Approve", {"id": "7", "name": "ann"}, "looks good", ("promote", "ann", "looks good")),
        ("Approve", {"id": "7", "name": "ann"}, None, ("promote", "ann", "approved in Airflow")),
        ("Reject", {"id": "7", "name": ""}, " ", ("reject", "7", "rejected in Airflow")),
        ("Reject", None, None, ("reject", "time limit", "nobody answered within 20:00:00")),
    ],
)
def test_the_answer_says_who_and_why(
    pending: dict[str, Any],
    task_log: list[str],
    option: str,
    user: dict[str, str] | None,
    reason: str | None,
    answer: tuple[str, str, str],
) -> None:
    given = approve().execute_complete(pending, event(option, user, reason))
    assert (given["verb"], given["who"], given["reason"]) == answer
    assert given["version"] == 4
    assert f"{option} by {answer[1]}: {answer[2]}" in task_log


def release(context: Context, verb: str, reason: str = "looks good") -> dict[str, Any]:
    answer = {"verb": verb, "version": 4, "who": "ann", "reason": reason}
    given = context(xcom={"approve": answer})
    ReleaseOperator(task_id="release", flywheel="tickets").execute(given)
    return given


def moved(given: dict[str, Any]) -> list[Any]:
    """The events of models that a task has written."""
    return [
        (each.dest_asset_key.name, each.extra)
        for accessor in given["outlet_events"]._dict.values()
        for each in accessor.asset_alias_events
    ]


def test_an_approved_version_is_promoted_and_its_asset_moves(
    stand_in: Any, task_log: list[str], context: Context
) -> None:
    given = release(context, "promote", reason="-x looks good; rm -rf /")
    assert stand_in.calls[0]["arguments"] == [
        *("registry", "promote", "tickets", "4", "--reason=-x looks good; rm -rf /", "--by=ann")
    ]
    extra = {"turn": "2026-11-21T00:00Z", "run_id": "scheduled__2026-11-22T00-00-00-00-00", "version": 4, "who": "ann"}
    assert moved(given) == [("tickets/model", extra)]


def test_a_rejected_version_is_rejected_and_the_task_succeeds(
    stand_in: Any, task_log: list[str], context: Context
) -> None:
    given = release(context, "reject")
    assert stand_in.calls[0]["arguments"][:4] == ["registry", "reject", "tickets", "4"]
    assert moved(given) == []


def test_a_refused_promotion_fails_and_moves_nothing(stand_in: Any, task_log: list[str], context: Context) -> None:
    stand_in.does("print('error: the champion moved'); sys.exit(1)")
    with pytest.raises(AirflowFailException, match="error: the champion moved"):
        release(context, "promote")


def test_what_a_person_typed_is_one_line() -> None:
    assert in_one_line(" all\nfine\x00\t \u202e!") == "all fine !"
    assert in_one_line(None) == "" and len(in_one_line("x" * 5000)) == 1000
