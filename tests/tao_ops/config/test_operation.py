"""The section ``operation``: whose DAG it is, when it is late, who is told; never a secret."""

from datetime import timedelta
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from tao_ops.config import NoticeOn, OperationConfig

SLACK = "airflow.providers.slack.notifications.slack.SlackNotifier"


def read(text: str) -> OperationConfig:
    return OperationConfig.model_validate(yaml.safe_load(text))


def refused(**told: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        OperationConfig.model_validate(told)
    return str(caught.value.errors()[0]["msg"])


def test_it_says_nothing_where_nothing_is_said() -> None:
    config = OperationConfig()
    assert (config.owner, config.tags, config.deadline, config.notify) == ("tao", (), None, ())


def test_it_is_written_plainly() -> None:
    config = read(
        f"""
        owner: platform-ml
        tags: [shop]
        deadline: 6h
        notify:
          - on: [failure, deadline]
            notifier: {SLACK}
            arguments: {{slack_conn_id: team, text: "{{{{ tao.summary }}}}"}}
        """
    )
    assert (config.owner, config.tags, config.deadline) == ("platform-ml", ("shop",), timedelta(hours=6))
    (one,) = config.notify
    # YAML reads the bare word "on" as true.
    assert one.on == (NoticeOn.FAILURE, NoticeOn.DEADLINE) and one.notifier == SLACK
    assert one.arguments == {"slack_conn_id": "team", "text": "{{ tao.summary }}"}


@pytest.mark.parametrize(
    "arguments",
    [
        {"token": "xoxb-1"},
        {"slack_webhook_url": "https://hooks"},
        {"password": "hunter2"},
        {"custom": {"api_key": "k"}},
        {"password": 71_234_567},
        {"headers": {"Authorization": "Bearer abcdef"}},
        {"headers": {"X-API-Key": "abcdef"}},
        {"url": "https://ana:secret@example.org"},
    ],
)
def test_a_secret_is_refused_without_being_told(arguments: dict[str, Any]) -> None:
    said = refused(notify=[{"on": ["failure"], "notifier": SLACK, "arguments": arguments}])
    assert "looks like a secret: name a connection" in said
    assert not any(str(value) in said for value in arguments.values())


def test_a_reference_to_a_secret_is_none() -> None:
    arguments = {"token": "{{ var.value.team_token }}", "slack_conn_id": "team"}
    OperationConfig.model_validate({"notify": [{"on": ["failure"], "notifier": SLACK, "arguments": arguments}]})


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"deadline": "soon"}, "is not a duration"),
        ({"deadline": "0s"}, "a deadline is longer than that"),
        ({"owner": "a, b"}, "should match pattern"),
        ({"owner": " "}, "should match pattern"),
        ({"tags": [""]}, "at least 1 character"),
        ({"notify": [{"on": [], "notifier": SLACK}]}, "at least 1 item"),
        ({"notify": [{"on": ["success"], "notifier": SLACK}]}, "'failure', 'approval', 'promote' or 'deadline'"),
        ({"notify": [{"on": ["failure"], "notifier": "SlackNotifier"}]}, "should match pattern"),
        ({"notify": [{"on": ["deadline"], "notifier": SLACK}]}, "needs a 'deadline'"),
    ],
)
def test_what_is_wrong_is_said(told: dict[str, Any], said: str) -> None:
    assert said in refused(**told)
