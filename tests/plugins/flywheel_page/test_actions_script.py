"""What the script of the actions does in a browser, with answers made by hand in the place of Airflow's."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.operated.browser import chromium

SignIn = Callable[..., list[Any]]
API = "/airflow/api/v2"
WAITS = {
    "task_instance": {"dag_id": "flywheel_tickets", "dag_run_id": "r", "task_id": "approve", "map_index": -1},
    "subject": "version 21 of tickets",
    "options": ["Approve", "Reject"],
}


@dataclass
class Airflow:
    """Airflow's API: what it was sent, and what it answers to questions about a run."""

    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    run: tuple[int, dict[str, Any]] = (200, {"state": "success"})

    def __call__(self, method: str, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        if method != "GET":
            self.asked.append((method, path, body))
        if path.endswith("/~/hitlDetails"):
            return 200, {"hitl_details": [WAITS]}
        if "/dagRuns/" in path and method == "GET":
            return self.run
        return 200, {"dag_id": path.split("/")[2], "dag_run_id": "manual__1", "is_paused": False}


@pytest.fixture
def airflow() -> Airflow:
    return Airflow()


@pytest.fixture
def page(browser: Any, sign_in: SignIn, known: Any, airflow: Airflow) -> Iterator[Any]:
    """The actions of a flywheel, open in a browser of somebody who may do all."""
    sign_in()

    def answer(route: Any) -> None:
        asked = route.request
        path = urlsplit(asked.url).path
        if path.startswith(API):
            status, said = airflow(asked.method, path.removeprefix(API), asked.post_data_json)
            return route.fulfill(status=status, content_type="application/json", body=json.dumps(said))
        found = browser.get(asked.url)
        return route.fulfill(status=found.status_code, headers=dict(found.headers), body=found.content)

    with chromium() as program:
        opened = program.new_page()
        opened.set_default_timeout(10_000)
        opened.route("**/*", answer)
        opened.goto("http://host/airflow/flywheel/dags/flywheel_tickets/actions")
        yield opened


def test_what_was_counted_can_be_erased_without_filling_in_the_form_again(page: Any, airflow: Airflow) -> None:
    form = page.get_by_role("form", name="Erase")
    form.get_by_label("Query", exact=True).fill("0" * 32)
    form.get_by_label("Reason").fill("case 17")
    form.get_by_role("button", name="Start").click()
    form.get_by_text("Done: the log of its task").wait_for()
    form.get_by_label("What to do").select_option("false")
    form.get_by_role("button", name="Start").click()
    form.get_by_text("Done: the log of its task").wait_for()
    assert [body["conf"]["dry_run"] for _, _, body in airflow.asked] == [True, False]


def test_a_rollback_that_was_started_is_never_offered_as_one_that_was_not(page: Any, airflow: Airflow) -> None:
    """A second one would go a step further."""
    airflow.run = (500, {})
    form = page.get_by_role("form", name="Roll back")
    form.get_by_label("Reason").fill("it is worse")
    form.get_by_role("button", name="Roll back").click()
    form.get_by_text("The rollback was started. How it goes cannot be asked: Airflow answered 500.").wait_for()
    assert form.get_by_role("link", name="See its run in Airflow").is_visible()
    assert form.get_by_role("button", name="Roll back").is_disabled()
    assert len(airflow.asked) == 1


def test_where_no_answer_comes_it_does_not_say_that_nothing_was_done(page: Any, airflow: Airflow) -> None:
    page.route("**/dagRuns", lambda route: route.abort())
    form = page.get_by_role("form", name="Roll back")
    form.get_by_label("Reason").fill("it is worse")
    form.get_by_role("button", name="Roll back").click()
    form.get_by_text("Airflow's server does not answer. It may have been told all the same").wait_for()
    assert form.get_by_role("button", name="Roll back").is_enabled()


def test_a_candidate_is_approved_by_its_button_alone(page: Any, airflow: Airflow) -> None:
    reason = page.locator("#reason-0")
    reason.fill("half a rea")
    reason.press("Enter")
    reason.fill(" ")
    page.get_by_role("button", name="Reject").click()
    assert airflow.asked == [] and page.get_by_text("Answered").count() == 0
    reason.fill("it is worse")
    page.get_by_role("button", name="Reject").click()
    page.get_by_text("Answered: Reject.").wait_for()
    ((method, _, body),) = airflow.asked
    assert (method, body) == ("PATCH", {"chosen_options": ["Reject"], "params_input": {"reason": "it is worse"}})
