"""Data Docs in Airflow: nobody reads them without Airflow's leave, and nothing but them is read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tao_airflow import data_docs
from tao_airflow.stage_operator import StageOperator

FOLDER = ("tickets", "2026-11-21T00-00Z", "manual__1")
PAGE = "/data-docs/flywheel_tickets/2026-11-21T00-00Z/manual__1/"


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lake with the Data Docs of one run, and a file beside them that is nobody's business."""
    folder = tmp_path.joinpath("lake", "artifacts", *FOLDER)
    (folder / "data_docs").mkdir(parents=True)
    (folder / "data_docs" / "index.html").write_text("<p>the index</p>", encoding="utf-8")
    (folder / "data_docs" / "task-tickets.html").write_text("<p>the task</p>", encoding="utf-8")
    (folder / "report.html").write_text("<p>not yours</p>", encoding="utf-8")
    (folder / "data_docs" / "link.html").symlink_to(tmp_path / "secret.html")
    (tmp_path / "secret.html").write_text("<p>not yours</p>", encoding="utf-8")
    monkeypatch.setenv("TAO_LAKE", str(tmp_path / "lake"))
    return tmp_path / "lake"


@pytest.fixture
def browser(lake: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of the pages, mounted as Airflow's server mounts them; nobody is signed in."""
    from airflow.api_fastapi.app import create_auth_manager
    from airflow.models.dag import DagModel
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    create_auth_manager()
    monkeypatch.setattr(DagModel, "get_team_name", lambda dag_id: None)  # it would ask Airflow's database
    server = FastAPI()
    server.mount(data_docs.PREFIX, data_docs.app)
    with TestClient(server, base_url=f"http://airflow{data_docs.PREFIX}") as client:
        yield client


def _sign_in(browser: Any, monkeypatch: pytest.MonkeyPatch, *, may_read: bool = True) -> list[Any]:
    """Give the browser the cookie of a user; returns what Airflow is asked of their rights."""
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    asked: list[Any] = []

    async def user(self: Any, token: str) -> SimpleAuthManagerUser:
        assert token == "of viv"
        return SimpleAuthManagerUser(username="viv", role="viewer")

    def rights(self: Any, **question: Any) -> bool:
        asked.append((question["method"], question["details"].id, question["user"].username))
        return may_read

    monkeypatch.setattr(SimpleAuthManager, "get_user_from_token", user)
    monkeypatch.setattr(SimpleAuthManager, "is_authorized_dag", rights)
    browser.cookies.set("_token", "of viv")
    return asked


@pytest.mark.parametrize("path", [PAGE, f"{PAGE}task-tickets.html", f"{PAGE}none.html", "/data-docs/other/t/r/"])
def test_without_a_sign_in_nobody_learns_even_what_there_is(browser: Any, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 401 and answer.json() == {"detail": "Not authenticated"}


def test_a_token_that_is_none_of_airflows_opens_nothing(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "s" * 64)
    browser.cookies.set("_token", "made.up.token")
    assert browser.get(PAGE).status_code == 403
    assert browser.get(PAGE, headers={"Authorization": "Bearer made.up.token"}).status_code == 403


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/redoc", "/", "/data-docs"])
def test_there_is_no_page_besides(browser: Any, path: str) -> None:
    assert browser.get(path).status_code == 404


def test_who_may_read_the_dag_reads_its_data_docs(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _sign_in(browser, monkeypatch)
    index = browser.get(PAGE)
    assert (index.status_code, index.text) == (200, "<p>the index</p>")
    assert browser.get(f"{PAGE}task-tickets.html").text == "<p>the task</p>"
    assert asked == [("GET", "flywheel_tickets", "viv")] * 2
    assert index.headers["content-security-policy"].startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert index.headers["x-content-type-options"] == "nosniff" and "no-store" in index.headers["cache-control"]


def test_who_may_not_read_the_dag_does_not(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _sign_in(browser, monkeypatch, may_read=False)
    assert browser.get(PAGE).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/data-docs/flywheel_tickets/2026-11-22T00-00Z/manual__1/",
        "/data-docs/other_dag/2026-11-21T00-00Z/manual__1/",
        "/data-docs/tickets/2026-11-21T00-00Z/manual__1/",
        f"{PAGE}none.html",
        f"{PAGE}report.html",
        f"{PAGE}link.html",
        f"{PAGE}..%2Freport.html",
        f"{PAGE}%2e%2e/report.html",
        f"{PAGE}?page=../report.html",
        "/data-docs/flywheel_tickets/%2e%2e/%2e%2e/report.html",
        "/data-docs/flywheel_..%2f..%2f..%2f/x/y/secret.html",
        "/data-docs/flywheel_%00/x/y/",
    ],
)
def test_nothing_else_is_read(browser: Any, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    _sign_in(browser, monkeypatch)
    answer = browser.get(path)
    assert answer.status_code == 404 and "not yours" not in answer.text


def test_where_none_were_built_it_says_so_in_a_line(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _sign_in(browser, monkeypatch)
    answer = browser.get("/data-docs/flywheel_tickets/2026-11-22T00-00Z/manual__1/")
    assert answer.json() == {"detail": "no Data Docs of this run: validate builds them"}


@pytest.mark.parametrize("behaviour", ["pass", "sys.exit(1)"])
def test_the_validate_task_links_to_them_even_where_it_failed(
    stand_in: Any, task_log: list[str], context: Any, monkeypatch: pytest.MonkeyPatch, behaviour: str
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://flows.example.org/airflow")
    stand_in.does(behaviour)
    task = StageOperator(task_id="validate", stage="validate", flywheel="tickets")
    (link,) = task.operator_extra_links
    key = type("Key", (), {"dag_id": "flywheel_tickets"})
    assert link.get_link(task, ti_key=key) == ""
    try:
        task.execute(context())
    except Exception:
        assert behaviour != "pass"
    path = "/data-docs/flywheel_tickets/2026-11-21T00-00Z/scheduled__2026-11-22T00-00-00-00-00/"
    assert link.get_link(task, ti_key=key) == f"/airflow{data_docs.PREFIX}{path}"


def test_airflow_knows_the_link_of_the_validate_task_alone() -> None:
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("flywheel_tickets", schedule=None) as dag:
        for stage in ("ingest", "validate"):
            StageOperator(task_id=stage, stage=stage, flywheel="tickets")
    read = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    links = {task.task_id: list(task.extra_links) for task in read.tasks}
    assert links == {"ingest": [], "validate": ["Data Docs"]}


def test_airflow_finds_the_pages() -> None:
    from tao_plugin import TaoPlugin

    assert [(each["url_prefix"], each["app"]) for each in TaoPlugin.fastapi_apps] == [("/tao", data_docs.app)]
    assert [link.name for link in TaoPlugin.operator_extra_links] == ["Data Docs"]
