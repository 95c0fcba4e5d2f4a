"""Pictures in Airflow: nobody sees them without Airflow's leave, and nothing but a run's own pictures is served."""

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tao_airflow.stage_operator import StageOperator

SignIn = Callable[..., list[Any]]
PAGE = "/pictures/flywheel_tickets/2026-11-21T00-00Z/manual__1/"
ODD = 'reliability-"a" <b>&%-0.png'


@pytest.fixture(autouse=True)
def pictures(run_folder: Path, tmp_path: Path) -> None:
    """Three pictures of one run, and files beside them that are nobody's business."""
    for name in ("reliability-tickets-0.png", "exploration-0.png", ODD):
        (run_folder / name).write_bytes(f"picture {name}".encode())
    for path in (run_folder / "candidate.json", run_folder.parent / "above.png", tmp_path / "secret.png"):
        path.write_bytes(b"not yours")
    (run_folder / "folder.png").mkdir()
    (run_folder / "folder.png" / "below.png").write_bytes(b"not yours")
    (run_folder / "link.png").symlink_to(tmp_path / "secret.png")
    (run_folder / "near.png").symlink_to(run_folder / "candidate.json")
    other = run_folder.parents[2] / "invoices" / run_folder.parent.name / "manual__1"
    other.mkdir(parents=True)
    (other / "other.png").write_bytes(b"not yours")
    (run_folder.parent / "manual__2").symlink_to(other)
    (run_folder.parent / "manual__3").mkdir()


def _all(pattern: str, page: str) -> list[str]:
    """What a browser reads wherever the pattern's group stands."""
    return [html.unescape(found) for found in re.findall(pattern, page)]


@pytest.mark.parametrize("path", [PAGE, f"{PAGE}exploration-0.png", f"{PAGE}none.png", "/pictures/other/t/r/"])
def test_without_a_sign_in_nobody_learns_even_what_there_is(browser: Any, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 401 and answer.json() == {"detail": "Not authenticated"}


def test_a_token_that_is_none_of_airflows_opens_nothing(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "s" * 64)
    browser.cookies.set("_token", "made.up.token")
    assert browser.get(PAGE).status_code == 403
    assert browser.get(f"{PAGE}exploration-0.png").status_code == 403


def test_who_may_not_read_the_dag_sees_none(browser: Any, sign_in: SignIn) -> None:
    sign_in(may_read=False)
    assert browser.get(PAGE).status_code == browser.get(f"{PAGE}exploration-0.png").status_code == 403


def test_who_may_read_the_dag_sees_each_picture_with_its_name(browser: Any, sign_in: SignIn) -> None:
    asked = sign_in()
    answer = browser.get(PAGE)
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<h1>Pictures of tickets</h1>\n<p>Turn 2026-11-21T00-00Z, run manual__1.</p>" in answer.text
    names = ["exploration-0.png", ODD, "reliability-tickets-0.png"]
    assert _all(r"<figcaption>([^<]*)</figcaption>", answer.text) == _all(r'alt="([^"]*)"', answer.text) == names
    assert "<b>" not in answer.text and "<script" not in answer.text
    for name, address in zip(names, _all(r'src="([^"]*)"', answer.text), strict=True):
        picture = browser.get(PAGE + address)
        assert picture.content == f"picture {name}".encode() and picture.headers["content-type"] == "image/png"
        assert picture.headers["x-content-type-options"] == "nosniff" and "no-store" in picture.headers["cache-control"]
    assert asked == [("GET", "flywheel_tickets", "viv")] * 4


def test_only_the_page_of_pictures_may_load_some_and_from_airflows_server_alone(browser: Any, sign_in: SignIn) -> None:
    sign_in()
    rules = browser.get(PAGE).headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "img-src 'self'", "frame-ancestors 'self'"} <= set(rules)
    others = (f"{PAGE}exploration-0.png", f"{PAGE}none.png")
    assert not [path for path in others if "img-src" in browser.get(path).headers["content-security-policy"]]


@pytest.mark.parametrize(
    "path",
    [
        "/pictures/other_dag/2026-11-21T00-00Z/manual__1/",
        "/pictures/tickets/2026-11-21T00-00Z/manual__1/",
        "/pictures/flywheel_tickets/2026-11-21T00-00Z/manual__2/",
        "/pictures/flywheel_tickets/2026-11-21T00-00Z/manual__2/other.png",
        f"{PAGE}candidate.json",
        f"{PAGE}link.png",
        f"{PAGE}near.png",
        f"{PAGE}folder.png",
        f"{PAGE}folder.png/below.png",
        f"{PAGE}folder.png%2Fbelow.png",
        f"{PAGE}..%2Fabove.png",
        f"{PAGE}%2e%2e/above.png",
        f"{PAGE}%252e%252e%252fabove.png",
        f"{PAGE}..%5cabove.png",
        f"{PAGE}%2Fetc%2Fhostname.png",
        f"{PAGE}exploration-0.png%00",
        f"{PAGE}*.png",
        "/pictures/flywheel_tickets/%2e%2e/%2e%2e/above.png",
        "/pictures/flywheel_tickets/2026-11-21T00-00Z/./above.png",
        "/pictures/flywheel_..%2f..%2f..%2f/x/y/secret.png",
        "/pictures/flywheel_%00/x/y/",
    ],
)
def test_nothing_else_is_served(browser: Any, sign_in: SignIn, path: str) -> None:
    sign_in()
    answer = browser.get(path)
    assert answer.status_code == 404 and "not yours" not in answer.text


@pytest.mark.parametrize("run_id", ["manual__3", "manual__9"])
def test_where_none_were_drawn_it_says_so_in_a_line(browser: Any, sign_in: SignIn, run_id: str) -> None:
    sign_in()
    answer = browser.get(f"/pictures/flywheel_tickets/2026-11-21T00-00Z/{run_id}/")
    assert answer.status_code == 404
    assert answer.json() == {"detail": "no pictures of this run: generate, score and update draw them"}


@pytest.mark.parametrize("stage", ["generate", "score", "update"])
@pytest.mark.parametrize("behaviour", ["pass", "sys.exit(1)"])
def test_the_tasks_that_draw_link_to_them_even_where_they_failed(
    stand_in: Any, task_log: list[str], context: Any, monkeypatch: pytest.MonkeyPatch, stage: str, behaviour: str
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://flows.example.org/airflow")
    stand_in.does(behaviour)
    task = StageOperator(task_id=stage, stage=stage, flywheel="tickets", shard=1)
    (link,) = task.operator_extra_links
    key = type("Key", (), {"dag_id": "flywheel_tickets"})
    assert link.get_link(task, ti_key=key) == ""
    try:
        task.execute(context())
    except Exception:
        assert behaviour != "pass"
    path = "/tao/pictures/flywheel_tickets/2026-11-21T00-00Z/scheduled__2026-11-22T00-00-00-00-00/"
    assert link.get_link(task, ti_key=key) == f"/airflow{path}"
