"""Actions: forms for those who may, done by Airflow's own API, which takes no forged request."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, ClassVar

import pytest

SignIn = Callable[..., list[Any]]
PAGE = "/dags/flywheel_tickets/actions"
ROLLBACK = "/api/v2/dags/rollback/dagRuns"
ANSWER = "/api/v2/dags/flywheel_tickets/dagRuns/r/taskInstances/approve/-1/hitlDetails"
ASKED = {
    ("POST", ROLLBACK): {"logical_date": None, "conf": {"flywheel": "tickets", "reason": "it is worse"}},
    ("POST", "/api/v2/dags/erase/dagRuns"): {"logical_date": None, "conf": {"query_id": "0" * 32, "reason": "case 1"}},
    ("PATCH", ANSWER): {"chosen_options": ["Approve"], "params_input": {"reason": "it is better"}},
}
FORGED = ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", None]
"""The types of what another site's form or script can send without asking this server first."""


def _rights(monkeypatch: pytest.MonkeyPatch, *allowed: tuple[str, str, str]) -> None:
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

    def may(self: Any, *, method: str, details: Any, access_entity: Any = None, **_: Any) -> bool:
        return method == "GET" or (method, access_entity.value, details.id) in allowed

    monkeypatch.setattr(SimpleAuthManager, "is_authorized_dag", may)


def test_a_viewer_sees_no_form(browser: Any, sign_in: SignIn, known: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in()
    _rights(monkeypatch)
    text = browser.get(PAGE).text
    assert "<form" not in text and "actions.js" not in text
    assert "You may look at this flywheel, and not change it." in text and "Version 20" in text


@pytest.mark.parametrize(
    ("right", "form"),
    [
        (("POST", "RUN", "rollback"), 'data-dag="rollback"'),
        (("POST", "RUN", "erase"), 'data-dag="erase"'),
        (("PUT", "HITL_DETAIL", "flywheel_tickets"), '<template id="question">'),
    ],
)
def test_each_form_is_shown_to_those_alone_whom_airflow_would_let_do_it(
    browser: Any,
    sign_in: SignIn,
    known: Any,
    monkeypatch: pytest.MonkeyPatch,
    right: tuple[str, str, str],
    form: str,
) -> None:
    sign_in()
    _rights(monkeypatch, right)
    text = browser.get(PAGE).text
    assert form in text and text.count("<form") == 1 and "actions.js" in text
    assert text.count('name="reason" required') == 1


def test_a_rollback_is_offered_to_champions_of_before_only(
    browser: Any, sign_in: SignIn, known: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in()
    _rights(monkeypatch, ("POST", "RUN", "rollback"))
    text = browser.get(PAGE).text
    assert '<option value="15">' in text and '<option value="19">' not in text and '<option value="20">' not in text


def test_the_forms_have_the_fields_of_the_dags_that_do_it(
    browser: Any, sign_in: SignIn, known: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import re

    from tao_airflow import erase, rollback

    sign_in()
    for dag, params in {"rollback": rollback.form(["tickets"]), "erase": erase.form(["tickets"])}.items():
        _rights(monkeypatch, ("POST", "RUN", dag))
        fields = re.findall(r'<(?:input|select)[^>]* name="(\w+)"', browser.get(PAGE).text)
        assert sorted(fields) == sorted(params)


def test_forms_do_nothing_by_themselves(
    browser: Any, sign_in: SignIn, known: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in()
    _rights(monkeypatch, ("POST", "RUN", "rollback"), ("POST", "RUN", "erase"))
    text = browser.get(PAGE).text
    assert "method=" not in text and "action=" not in text
    assert text.count("<button disabled") == text.count("<button") == 2
    for path in (PAGE, "/", "/dags/rollback/dagRuns"):
        assert browser.post(path, data={"reason": "forged"}).status_code in (404, 405)


class _Session:
    """Airflow's database where nothing is found; it keeps what Airflow records of who asked for what."""

    log: ClassVar[list[tuple[str, str]]] = []

    def scalar(self, *_: Any, **__: Any) -> None: ...

    def commit(self) -> None: ...

    def add(self, entry: Any) -> None:
        self.log.append((entry.event, entry.owner))


@cache
def _public_api() -> Any:
    """Airflow's own public API, without its database."""
    from airflow.api_fastapi.common.dagbag import dag_bag_from_app
    from airflow.api_fastapi.common.db.common import _get_session
    from airflow.api_fastapi.core_api.routes.public import public_router
    from fastapi import FastAPI

    server = FastAPI()
    server.include_router(public_router)
    server.dependency_overrides[_get_session] = _Session
    server.dependency_overrides[dag_bag_from_app] = lambda: None
    return server


@pytest.fixture
def airflow(browser: Any, sign_in: SignIn) -> Iterator[Any]:
    """A browser that is signed in to Airflow's API."""
    from fastapi.testclient import TestClient

    sign_in()
    with TestClient(_public_api(), base_url="http://host") as client:
        client.cookies.set("_token", "of viv")
        yield client


def test_airflow_takes_what_the_page_sends_and_no_forged_request(airflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _rights(
        monkeypatch,
        ("POST", "RUN", "rollback"),
        ("POST", "RUN", "erase"),
        ("PUT", "HITL_DETAIL", "flywheel_tickets"),
    )
    for (method, path), body in ASKED.items():
        content = json.dumps(body).encode()
        _Session.log.clear()
        as_page = airflow.request(method, path, content=content, headers={"Content-Type": "application/json"})
        assert as_page.status_code == 404, as_page.text  # it was taken; the empty database has no such DAG
        assert _Session.log == [("trigger_dag_run" if method == "POST" else "update_hitl_detail", "viv")]
        for kind in FORGED:
            headers = {} if kind is None else {"Content-Type": kind}
            answer = airflow.request(method, path, content=content, headers=headers)
            assert answer.status_code == 422, (method, path, kind, answer.text)


def test_a_viewer_who_sends_it_all_the_same_is_refused(airflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _rights(monkeypatch)
    for (method, path), body in ASKED.items():
        assert airflow.request(method, path, json=body).status_code == 403


def test_another_sites_script_may_not_send_json(airflow: Any) -> None:
    """A browser asks first, and Airflow by itself allows no origin."""
    from airflow.configuration import conf

    assert conf.get("api", "access_control_allow_origins") == ""
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = airflow.options(ROLLBACK, headers=asked)
    assert "access-control-allow-origin" not in answer.headers and answer.status_code == 405
