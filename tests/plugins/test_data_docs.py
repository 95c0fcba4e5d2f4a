"""Data Docs in Airflow: nobody reads them without Airflow's leave, and nothing but them is read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tao_airflow.stage_operator import StageOperator

SignIn = Callable[..., list[Any]]
PAGE = "/data-docs/flywheel_tickets/2026-11-21T00-00Z/manual__1/"


@pytest.fixture(autouse=True)
def documents(run_folder: Path, tmp_path: Path) -> None:
    """The Data Docs of one run, and files beside them that are nobody's business."""
    (run_folder / "data_docs").mkdir(parents=True)
    (run_folder / "data_docs" / "index.html").write_text("<p>the index</p>", encoding="utf-8")
    (run_folder / "data_docs" / "task-tickets.html").write_text("<p>the task</p>", encoding="utf-8")
    (run_folder / "report.html").write_text("<p>not yours</p>", encoding="utf-8")
    (run_folder / "data_docs" / "link.html").symlink_to(tmp_path / "secret.html")
    (run_folder / "data_docs" / "near.html").symlink_to(run_folder / "report.html")
    (tmp_path / "secret.html").write_text("<p>not yours</p>", encoding="utf-8")


@pytest.mark.parametrize("path", [PAGE, f"{PAGE}task-tickets.html", f"{PAGE}none.html", "/data-docs/other/t/r/"])
def test_without_a_sign_in_nobody_learns_even_what_there_is(browser: Any, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 401 and answer.json() == {"detail": "Not authenticated"}


def test_a_token_that_is_none_of_airflows_opens_nothing(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "s" * 64)
    browser.cookies.set("_token", "made.up.token")
    assert browser.get(PAGE).status_code == 403
    assert browser.get(PAGE, headers={"Authorization": "Bearer made.up.token"}).status_code == 403


def test_who_may_read_the_dag_reads_its_data_docs(browser: Any, sign_in: SignIn) -> None:
    asked = sign_in()
    index = browser.get(PAGE)
    assert (index.status_code, index.text) == (200, "<p>the index</p>")
    assert browser.get(f"{PAGE}task-tickets.html").text == "<p>the task</p>"
    assert asked == [("GET", "flywheel_tickets", "viv")] * 2
    assert index.headers["content-security-policy"] == (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
    assert index.headers["x-content-type-options"] == "nosniff" and "no-store" in index.headers["cache-control"]


def test_who_may_not_read_the_dag_does_not(browser: Any, sign_in: SignIn) -> None:
    sign_in(may_read=False)
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
        f"{PAGE}near.html",
        f"{PAGE}..%2Freport.html",
        f"{PAGE}%2e%2e/report.html",
        f"{PAGE}?page=../report.html",
        "/data-docs/flywheel_tickets/%2e%2e/%2e%2e/report.html",
        "/data-docs/flywheel_..%2f..%2f..%2f/x/y/secret.html",
        "/data-docs/flywheel_%00/x/y/",
    ],
)
def test_nothing_else_is_read(browser: Any, sign_in: SignIn, path: str) -> None:
    sign_in()
    answer = browser.get(path)
    assert answer.status_code == 404 and "not yours" not in answer.text


def test_where_none_were_built_it_says_so_in_a_line(browser: Any, sign_in: SignIn) -> None:
    sign_in()
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
    path = "/tao/data-docs/flywheel_tickets/2026-11-21T00-00Z/scheduled__2026-11-22T00-00-00-00-00/"
    assert link.get_link(task, ti_key=key) == f"/airflow{path}"
