"""Who is told of what: notifiers that the YAML names, checked when the DAG is made, harmless when they fail."""

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import BaseNotifier
from tao_airflow import notices
from tao_airflow.assets import Kind, tell

from tao_ops.config import Flywheel, NoticeOn, NotifyConfig, OperationConfig, load_flywheel
from tao_ops.errors import ConfigError

Context = Callable[..., dict[str, Any]]
SMTP = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
SENT: list[tuple[str, dict[str, Any]]] = []


class Telling(BaseNotifier):
    """Stands in for Slack, mail and the like."""

    template_fields = ("text",)

    def __init__(self, text: str, **more: Any) -> None:
        super().__init__()
        self.text = text

    def notify(self, context: Any) -> None:
        SENT.append((self.text, context[notices.FACTS]))


class Failing(BaseNotifier):
    def notify(self, context: Any) -> None:
        raise ConnectionError("no route to host")


@pytest.fixture(autouse=True)
def _modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The stand-ins under a path that can be imported, which this file's is not."""
    import sys

    monkeypatch.setitem(sys.modules, "a_team", SimpleNamespace(Telling=Telling, Failing=Failing, no_class=len))
    SENT.clear()
    yield


def flywheel(*notify: dict[str, Any], monkeypatch: pytest.MonkeyPatch | None = None, **more: Any) -> Flywheel:
    """The example's, with notices; with ``monkeypatch`` its YAML says so too."""
    operation = OperationConfig.model_validate({"notify": list(notify), **more})
    include = load_flywheel("tickets").file("")
    made = load_flywheel("tickets").model_copy(update={"operation": operation}).bind(include)
    if monkeypatch is not None:
        monkeypatch.setattr(notices, "load_flywheel", lambda name: made)
    return made


def on(*events: str, notifier: str = "a_team.Telling", **arguments: Any) -> dict[str, Any]:
    return {"on": list(events), "notifier": notifier, "arguments": arguments}


def test_only_who_asked_for_an_event_is_told(context: Context) -> None:
    made = flywheel(on("failure", text="1"), on("promote", "failure", text="2"))
    assert [one.config.arguments["text"] for one in notices.of(made, NoticeOn.FAILURE)] == ["1", "2"]
    assert len(notices.of(made, NoticeOn.PROMOTE)) == 1 and notices.of(made, NoticeOn.APPROVAL) == []


def test_a_failed_run_is_told_with_its_turn_and_where_to_look(context: Context) -> None:
    (notice,) = notices.of(flywheel(on("failure", text="{{ tao.summary }}")), NoticeOn.FAILURE)
    notice({**context(), "task": SimpleNamespace(task_id="update"), "reason": "task_failure"})
    ((text, facts),) = SENT
    assert text == "tickets, turn 2026-11-21T00:00Z: the run has failed at update"
    assert (facts["event"], facts["flywheel"], facts["turn"]) == ("failure", "tickets", "2026-11-21T00:00Z")
    assert facts["url"].endswith("/dags/flywheel_tickets/runs/scheduled__2026-11-22T00%3A00%3A00%2B00%3A00")


def test_a_run_of_which_airflow_tells_little_is_told_all_the_same() -> None:
    (notice,) = notices.of(flywheel(on("failure", text="{{ tao.summary }}")), NoticeOn.FAILURE)
    notice({"dag": None, "run_id": "manual__1", "reason": "timed_out"})
    ((text, facts),) = SENT
    assert text == "tickets, turn ?: the run has failed" and facts["run_id"] == "manual__1"


def test_a_promotion_is_told_where_the_champion_moved_and_only_there(context: Context) -> None:
    (notice,) = notices.of(flywheel(on("promote", text="{{ tao.summary }}")), NoticeOn.PROMOTE)
    given = context()
    notice(given)
    assert SENT == []
    tell(given, "tickets", Kind.MODEL, turn="2026-11-21T00:00Z", run_id="r", version=4, who="gate")
    notice(given)
    assert [text for text, _ in SENT] == ["tickets, turn 2026-11-21T00:00Z: version 4 is the champion"]


def test_a_question_is_told_as_it_is_put(context: Context) -> None:
    (notice,) = notices.of(flywheel(on("approval", text="{{ tao.summary }}")), NoticeOn.APPROVAL)
    notice({**context(), "task": SimpleNamespace(subject="Promote version 4 of tickets?")})
    assert SENT[0][0].endswith("a person is asked. Promote version 4 of tickets?")


def test_a_notifier_that_fails_is_logged_and_fails_no_task(context: Context, caplog: pytest.LogCaptureFixture) -> None:
    (notice,) = notices.of(flywheel(on("failure", notifier="a_team.Failing")), NoticeOn.FAILURE)
    with caplog.at_level(logging.ERROR):
        notice(context())
    assert "a_team.Failing could not tell of failure: no route to host" in caplog.text


def test_a_late_run_is_told_from_what_airflow_hands_over(monkeypatch: pytest.MonkeyPatch) -> None:
    made = flywheel(on("deadline", text="{{ tao.summary }}"), deadline="6h", monkeypatch=monkeypatch)
    alert = notices.deadline(made)
    assert alert is not None and (alert.interval, alert.name) == (timedelta(hours=6), "over within 6h")
    assert alert.callback.path == "tao_airflow.notices.deadline_missed"
    run = {"dag_run_id": "manual__1", "run_type": "manual", "logical_date": None, "data_interval_start": None}
    late = {"dag_run": {**run, "run_after": "2026-11-22T03:00:00Z", "conf": {}}, "deadline": {"id": "1"}}
    notices.deadline_missed(**alert.callback.kwargs, context=late)
    ((text, facts),) = SENT
    assert text == "tickets, turn 2026-11-21T00:00Z: the run is not over within 6h"
    assert facts["run_id"] == "manual__1"


def test_a_run_that_has_failed_is_not_told_as_late_besides(monkeypatch: pytest.MonkeyPatch) -> None:
    flywheel(on("deadline", text="{{ tao.summary }}"), deadline="6h", monkeypatch=monkeypatch)
    for state in ("failed", "running"):
        run = {"dag_run_id": "manual__1", "run_type": "manual", "run_after": "2026-11-22T03:00:00Z", "conf": {}}
        notices.deadline_missed("tickets", context={"dag_run": {**run, "state": state}, "deadline": {"id": "1"}})
        assert len(SENT) == (state == "running")


def test_without_a_deadline_there_is_no_alert() -> None:
    assert notices.deadline(flywheel()) is None


@pytest.mark.parametrize(
    ("notice", "said"),
    [
        (
            on("failure", notifier="airflow.providers.slack.notifications.slack.SlackNotifier"),
            ".0.notifier] — install apache-airflow-providers-slack",
        ),
        (
            on("failure", notifier="airflow.providers.microsoft.azure.notifications.x.Y"),
            "install apache-airflow-providers-microsoft-azure",
        ),
        (on("failure", notifier="nobodys.module.Notifier"), "put the module where Airflow finds it"),
        (on("failure", notifier=f"{SMTP}s", to="a@example.org"), "has no 'SmtpNotifiers'"),
        (on("failure", notifier="a_team.no_class"), "no_class is no notifier of Airflow"),
        (on("failure", notifier=SMTP, speed=3), ".0.arguments]"),
    ],
)
def test_a_notifier_that_cannot_be_made_is_an_error_of_the_yaml(notice: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        notices.check(flywheel(notice))
    line = str(caught.value)
    assert said in line and "flywheels/tickets.yaml: operation.notify.0." in line and "\n" not in line


def test_a_module_that_fails_as_it_is_imported_is_one_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "half_written.py").write_text("def telling(:\n", encoding="utf-8")
    (tmp_path / "without_its_settings.py").write_text("{}['TEAM']\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    for module, why in (("half_written", "SyntaxError"), ("without_its_settings", "KeyError: 'TEAM'")):
        with pytest.raises(ConfigError, match=f"{module} cannot be imported: {why}") as caught:
            notices.check(flywheel(on("failure", notifier=f"{module}.Notifier")))
        assert "operation.notify.0.notifier" in str(caught.value) and "put the module" not in str(caught.value)


def test_a_notifier_of_airflow_itself_is_made_from_its_arguments() -> None:
    told = on("failure", notifier=SMTP, to="team@example.org", subject="{{ tao.summary }}", smtp_conn_id="mail")
    notices.check(flywheel(told))
    assert notices.made(NotifyConfig.model_validate(told)).to == "team@example.org"
