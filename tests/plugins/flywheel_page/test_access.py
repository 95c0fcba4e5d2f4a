"""Nobody sees anything of the Flywheel page without Airflow's leave."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from tao_airflow import flywheel_page

SignIn = Callable[..., list[Any]]
DAG = "/dags/flywheel_tickets"
OF_A_DAG = [
    DAG,
    f"{DAG}/runs/manual__1",
    f"{DAG}/turns",
    f"{DAG}/prompts",
    f"{DAG}/lineage",
    f"{DAG}/actions",
    f"{DAG}/turns/2026-11-20T00:00Z",
    f"{DAG}/turns/2026-11-20T00:00Z/prompts",
    f"{DAG}/turns/2026-11-20T00:00Z/prompts/q",
    f"{DAG}/turns/2026-11-20T00:00Z/changed/tickets",
]
ALL = ["/", "/turn/tickets/2026-11-20T00:00Z", "/static/page.css", *OF_A_DAG]


def test_the_tests_know_every_address_and_each_of_them_only_reads() -> None:
    routes = [route for route in flywheel_page.make_app().routes if hasattr(route, "methods")]
    assert {method for route in routes for method in route.methods} == {"GET"}
    assert len(routes) == len(ALL)


@pytest.mark.parametrize("path", ALL)
def test_who_is_not_signed_in_is_led_to_the_sign_in_and_sees_nothing(browser: Any, known: Any, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 401
    assert f'href="/airflow/api/v2/auth/login?next={quote(f"/airflow/flywheel{path}")}"' in answer.text
    assert known.reason not in answer.text


@pytest.mark.parametrize("path", OF_A_DAG)
def test_who_may_not_read_the_dag_sees_nothing_of_its_flywheel(
    browser: Any, sign_in: SignIn, known: Any, path: str
) -> None:
    asked = sign_in(may_read=False)
    answer = browser.get(path)
    assert answer.status_code == 403 and "You may not read this DAG." in answer.text
    assert known.reason not in answer.text
    assert asked == [("GET", "flywheel_tickets", "viv")]


def test_the_list_shows_those_flywheels_alone_that_the_user_may_read(
    browser: Any, sign_in: SignIn, known: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

    sign_in()
    both = browser.get("/").text
    assert ">tickets</a>" in both and ">young</a>" in both
    monkeypatch.setattr(SimpleAuthManager, "is_authorized_dag", lambda self, *, details, **_: "young" in details.id)
    one = browser.get("/").text
    assert ">tickets</a>" not in one and ">young</a>" in one and known.reason not in one
    monkeypatch.setattr(SimpleAuthManager, "is_authorized_dag", lambda self, **_: False)
    assert "There is no flywheel that you may read." in browser.get("/").text


def test_a_token_that_is_none_of_airflows_opens_nothing(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "s" * 64)
    browser.cookies.set("_token", "made.up.token")
    assert browser.get("/").status_code == 403


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/redoc", "/static/", "/static", "/dags"])
def test_there_is_no_page_besides(browser: Any, sign_in: SignIn, path: str) -> None:
    sign_in()
    assert browser.get(path).status_code == 404


@pytest.mark.parametrize("name", ["..%2fdata.py", "%2e%2e/data.py", "vendor.lock.json", "none.js", "%00", ".", "page"])
def test_of_static_files_only_those_meant_are_served(browser: Any, sign_in: SignIn, name: str) -> None:
    sign_in()
    assert browser.get(f"/static/{name}").status_code == 404


def test_every_answer_forbids_what_the_page_does_not_need(browser: Any, sign_in: SignIn, known: Any) -> None:
    sign_in()
    for path in [*ALL, "/none", f"{DAG}/turns/2026-01-01T00:00Z", f"{DAG}/turns?page=0"]:
        answer = browser.get(path)
        policy = answer.headers["content-security-policy"].split("; ")
        assert policy[:3] == ["default-src 'none'", "script-src 'self'", "style-src 'self'"], path
        assert "frame-ancestors 'self'" in policy and "form-action 'self'" in policy, path
        assert answer.headers["x-content-type-options"] == "nosniff", path
        kept = "private, max-age=604800" if "/static/" in path else "private, no-store"
        assert answer.headers["cache-control"] == kept, path


def test_importing_the_plugin_loads_neither_the_page_nor_what_reads_the_lake() -> None:
    import subprocess
    import sys

    from tao_ops.settings import PROJECT

    code = (
        "import sys; sys.path[:0] = ['plugins', '.']; import tao_airflow.flywheel_page;"
        "print([name for name in ('fastapi', 'airflow', 'jinja2', 'pyarrow', 'deltalake') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
