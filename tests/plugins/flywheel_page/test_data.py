"""The page shows a real lake, and asks for what is there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SignIn = Callable[..., list[Any]]
DAG = "/dags/flywheel_page"


@pytest.fixture
def newest(tmp_path: Path, browser: Any, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> str:
    """The newest of three turns of a small lake, whose registry does not answer."""
    from tao_airflow.flywheel_page import data

    from benchmarks.page import data as made

    @contextmanager
    def unreachable(settings: Any) -> Iterator[str]:
        yield f"postgresql:///tao?host={tmp_path}"

    monkeypatch.setattr(made, "TURNS_IN_ALL", 3)
    monkeypatch.setattr(made, "CANDIDATES", 160)
    monkeypatch.setattr(made, "LARGE", 2)
    monkeypatch.setattr(made, "_STAMP", "three turns")
    monkeypatch.setattr(data, "database", unreachable)
    made.build(tmp_path / "lake")
    sign_in()
    return made.turn(2)


def test_every_view_of_a_real_lake_opens_without_a_registry_too(browser: Any, newest: str) -> None:
    from benchmarks.page import data as made

    turn = f"{DAG}/turns/{newest}"
    prompt = f"{turn}/prompts/{made.query_id(2, 1)}"
    for path in ("/", DAG, f"{DAG}/turns", turn, f"{turn}/prompts?only=disagreement", prompt, f"{turn}/changed/exam"):
        answer = browser.get(path)
        assert answer.status_code == 200, answer.text
    assert "All 3 turns" not in browser.get(DAG).text and "could not be asked" in browser.get(DAG).text
    assert "160" in browser.get(turn).text and "candidates" in browser.get(prompt).text
    assert browser.get(f"{DAG}/actions").status_code == 503


def test_a_run_of_airflow_leads_to_its_turn_by_what_it_recorded_or_left(
    browser: Any, newest: str, tmp_path: Path
) -> None:
    from benchmarks.page.stages import run_id

    turn = f"/airflow/flywheel{DAG}/turns/{newest.replace(':', '%3A')}"
    assert browser.get(f"{DAG}/runs/{run_id(2)}").headers["location"] == turn
    assert browser.get(f"{DAG}/runs/scheduled__older").status_code == 404
    folder = tmp_path.joinpath("lake", "artifacts", "page", newest.replace(":", "-"), "scheduled__2026-01-01T00-00-00")
    folder.mkdir(parents=True)
    assert browser.get(f"{DAG}/runs/scheduled__2026-01-01T00:00:00").headers["location"] == turn


def test_an_old_run_leads_to_its_turn_too(
    browser: Any, newest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tao_airflow.flywheel_page import data

    from benchmarks.page import data as made

    monkeypatch.setattr(data, "NEWEST", 1)
    tmp_path.joinpath("lake", "artifacts", "page", made.turn(0).replace(":", "-"), "manual__old").mkdir(parents=True)
    answer = browser.get(f"{DAG}/runs/manual__old")
    assert answer.headers["location"] == f"/airflow/flywheel{DAG}/turns/{made.turn(0).replace(':', '%3A')}"
    tmp_path.joinpath("lake", "artifacts", "page", "1999-01-01T00-00Z", "manual__lost").mkdir(parents=True)
    assert browser.get(f"{DAG}/runs/manual__lost").status_code == 404, "the lake has no such turn"


def test_records_made_by_hand_are_such_as_are_read(known: Any) -> None:
    """Else the views above would be tested with what no lake gives."""
    from pydantic import TypeAdapter
    from tao_airflow.flywheel_page import data

    made = [
        data.overview("tickets"),
        data.turn("tickets", known.turn),
        data.prompt("tickets", known.turn, known.query),
        data.backward("tickets", 20, page=1, size=50),
        data.forward("tickets", "request-1"),
        *data.releases("tickets"),
        *data.turns("tickets", page=1, size=50).items,
        *data.prompts("tickets", known.turn, page=1, size=50).items,
        *data.changed_items("tickets", known.turn, "tickets", page=1, size=20).items,
    ]
    for record in made:
        TypeAdapter(type(record)).validate_python(record.as_dict())
