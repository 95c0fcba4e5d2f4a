"""A platform engineer operates a flywheel from the browser: every stage is real, its model is pretended.

With a folder in ``TAO_SCREENSHOTS`` it leaves a picture of each step there, light and dark: the docs' are made so.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest

from tao_ops.local.client import AirflowClient
from tests.e2e.operated import tickets
from tests.e2e.operated.browser import Person, chromium, findings
from tests.e2e.operated.started import Operated
from tests.e2e.operated.watching import ended, eventually, question_is_put

DAG = "flywheel_tickets"
PAGE = "/flywheel"
OF_TICKETS = f"{PAGE}/dags/{DAG}"
DENIED = "You do not have permission to perform this action."
NIGHT = datetime.now(UTC).date() - timedelta(days=1)
PAST = [NIGHT - timedelta(days=n) for n in (3, 2, 1)]
TURN = f"{NIGHT}T00:00Z"
REASON = "complaints since this morning"
LONG_MS = 300_000


@pytest.fixture
def browser() -> Iterator[Any]:
    """Chromium, or a skip that says what to install."""
    with chromium() as found:
        yield found


@pytest.fixture
def admin(browser: Any, airflow: Operated, client: AirflowClient) -> Iterator[Person]:
    """The administrator, before a flywheel ``tickets`` with four days of logs."""
    tickets.write_flywheel(airflow.include, airflow.folder)
    tickets.write_logs(airflow.services.home / "logs" / "tickets", [*PAST, NIGHT])
    eventually(lambda: client.dag(DAG))
    yield Person(browser, airflow.services.url, "admin", airflow.password("admin"))
    (airflow.include / "flywheels" / "tickets.yaml").unlink()


@pytest.fixture
def viv(browser: Any, airflow: Operated) -> Person:
    """Who may look."""
    return Person(browser, airflow.services.url, "viv", airflow.password("viv"))


@pytest.mark.timeout(1500)
def test_a_flywheel_is_operated_from_the_browser(
    admin: Person, viv: Person, airflow: Operated, client: AirflowClient
) -> None:
    _finds_the_dag(admin)
    run = _triggers_with_the_form(admin)
    _watches(admin)
    _reads_a_log(admin, run)
    question_is_put(airflow.services, client, DAG, unquote(run.rpartition("/")[2]))
    _may_look_and_not_act(viv, run)
    _approves(admin, run)
    _backfills_three_days(admin)
    _sees_what_is_wrong_with_a_yaml(admin, airflow, client)
    _may_look_at_the_page_and_not_act(viv)
    _sees_the_backfill_end(admin, client)
    _opens_the_page(admin)
    _reads_each_view(admin)
    _rolls_back(admin, client)
    admin.page.goto(run)
    admin.page.locator("button[aria-label^='Show Graph']").click()
    admin.shot_graph("graph")
    assert admin.problems == [] and viv.problems == []


def _finds_the_dag(admin: Person) -> None:
    admin.page.goto("/dags")
    admin.page.get_by_test_id("search-dags").fill("flywheel_t")
    admin.sees("1 Dag")
    admin.shot("dags")
    admin.page.get_by_role("link", name=DAG).first.click()
    admin.page.get_by_role("button", name="Dag Docs").click()
    admin.sees("A run is one turn")
    admin.shot("dag_docs")
    admin.page.keyboard.press("Escape")


def _triggers_with_the_form(admin: Person) -> str:
    """Triggers the night's turn, then unpauses the DAG; returns the run's address."""
    page = admin.page
    page.get_by_test_id("trigger-dag-button").first.click()
    form = admin.dialog()
    _choose_day(admin, 0, NIGHT)
    form.locator("[name=element_turn]").fill(f"{NIGHT}")
    form.locator("[name=element_budget]").fill("30000")
    form.get_by_text(f"Unpause {DAG} on trigger").click()
    admin.shot("trigger", of=form)
    form.get_by_test_id("trigger-dag-submit").click()
    page.wait_for_url("**/runs/**")
    page.get_by_test_id("toggle-pause").first.click()
    return page.url


def _choose_day(admin: Person, number: int, day: date) -> None:
    page = admin.page
    admin.dialog().get_by_test_id("datetime-input").nth(number).click()
    page.get_by_placeholder("YYYY/MM/DD").filter(visible=True).fill(f"{day:%Y/%m/%d}")
    page.get_by_placeholder("HH:mm").filter(visible=True).fill("00:00")
    page.keyboard.press("Escape")
    page.get_by_placeholder("HH:mm").filter(visible=True).wait_for(state="detached")


def _watches(admin: Person) -> None:
    page = admin.page
    page.get_by_role("row", name="ingest").get_by_text("Success").wait_for(timeout=LONG_MS)
    page.locator("button[aria-label^='Show Graph']").click()
    page.get_by_role("button", name="Expand all task groups").click()
    page.locator(".react-flow__node", has_text="generate").first.wait_for()
    page.locator("button[aria-label^='Show Grid']").click()
    page.get_by_role("row", name="approve").get_by_text("Awaiting Input").wait_for(timeout=LONG_MS)
    admin.shot("run")


def _reads_a_log(admin: Person, run: str) -> None:
    admin.page.goto(f"{run}/tasks/ingest")
    admin.sees("41 rows in, 40 rows out")
    admin.shot("log")


def _may_look_and_not_act(viv: Person, run: str) -> None:
    page = viv.page
    page.goto(f"{run}/tasks/approve/required_actions")
    viv.sees(f"Promote version 1 of tickets, turn {TURN}?")
    page.get_by_test_id("hitl-option-Approve").click()
    viv.sees(DENIED)
    viv.shot("viewer")
    page.goto("/dags/rollback")
    page.get_by_test_id("trigger-dag-button").first.click()
    _fill_in_the_rollback(viv)
    viv.dialog().get_by_test_id("trigger-dag-submit").click()
    viv.sees(DENIED)


def _approves(admin: Person, run: str) -> None:
    page = admin.page
    page.goto("/required_actions")
    admin.sees(f"Promote version 1 of tickets, turn {TURN}?").click()
    page.locator("[name=element_reason]").fill("read twenty answers, all good")
    admin.shot("approval", height=1500)
    page.get_by_test_id("hitl-option-Approve").click()
    admin.sees("approve response successful")
    page.goto(run)
    page.get_by_role("row", name="release").get_by_text("Success").wait_for(timeout=LONG_MS)


def _backfills_three_days(admin: Person) -> None:
    page = admin.page
    page.goto(f"/dags/{DAG}")
    page.get_by_test_id("trigger-dag-button").first.click()
    admin.sees("Run this Dag for a range of dates").click()
    _choose_day(admin, 0, PAST[0])
    _choose_day(admin, 1, PAST[-1])
    admin.sees("3 runs will be triggered.")
    admin.dialog().locator("[name=max_active_runs]").fill("3")
    admin.shot("backfill", of=admin.dialog())
    page.get_by_role("button", name="Run Backfill").click()
    admin.sees("Backfill generated")


def _sees_what_is_wrong_with_a_yaml(admin: Person, airflow: Operated, client: AirflowClient) -> None:
    wrong = airflow.include / "flywheels" / "orders.yaml"
    text = (airflow.include / "flywheels" / "tickets.yaml").read_text(encoding="utf-8")
    wrong.write_text(text.replace("name: tickets", "name: orders", 1).replace("alpha: 0.05", "alpha: 5"))
    try:
        eventually(client.import_errors)
        admin.page.goto("/")
        admin.sees("Dag Import Error").click()
        admin.sees("config_errors.py").click()
        told = admin.sees("orders.yaml: gate.alpha").inner_text()
        assert "Input should be less than 1" in told and "it is now 5" in told
        admin.shot("import_error")
    finally:
        wrong.unlink()


def _opens_the_page(admin: Person) -> None:
    """From Airflow's navigation, from the DAG and from its run."""
    page, frame = admin.page, admin.page.frame_locator("iframe")
    page.goto("/")
    page.get_by_test_id("nav-sidebar").get_by_text("Flywheel", exact=True).click()
    frame.get_by_role("heading", name="Flywheels").wait_for()
    frame.get_by_role("link", name="tickets", exact=True).click()
    frame.get_by_text("Champion is version 1").wait_for()
    admin.shot("flywheel")
    page.goto(f"/dags/{DAG}")
    page.get_by_test_id("main-content").get_by_role("link", name="Flywheel", exact=True).click()
    frame.get_by_text("Champion is version 1").wait_for()


def _reads_each_view(admin: Person) -> None:
    page, turn = admin.page, f"{OF_TICKETS}/turns/{TURN}"
    _view(admin, f"{PAGE}/", "What each has last decided")
    _view(admin, OF_TICKETS, "Champion is version 1", shot="overview")
    _view(admin, f"{OF_TICKETS}/turns", f"{NIGHT}")
    _view(admin, turn, "From logged rows to releases", shot="turn")
    _view(admin, f"{turn}/changed/tickets", "What changed on tickets", shot="changed")
    page.goto(f"{turn}/prompts")
    page.get_by_label("Show", exact=True).select_option("disagreement")
    page.get_by_role("button", name="Filter").click()
    _view(admin, page.url, "A candidate counts as right", shot="prompts")
    page.get_by_role("rowheader").get_by_role("link").first.click()
    _view(admin, page.url, "The best first.", shot="prompt")
    page.get_by_role("link", name="What it reached").click()
    _view(admin, page.url, "Turns it came in")
    _view(admin, f"{OF_TICKETS}/lineage?version=1", "Rows it was trained on", shot="lineage")
    _view(admin, f"{OF_TICKETS}/actions", "Nothing waits for an answer.", shot="actions")


def _view(person: Person, address: str, text: str, *, shot: str | None = None) -> None:
    """A view shows what it is for, works without a mouse, and axe finds nothing serious, be it light or dark."""
    if person.page.url != address:
        person.page.goto(address)
    person.sees(text)
    if shot:
        person.shot(shot, whole=True)
    person.page.keyboard.press("Tab")
    assert person.page.evaluate("document.activeElement.textContent") == "Skip to content"
    assert [found for _ in person.schemes() for found in findings(person.page)] == []


def _may_look_at_the_page_and_not_act(viv: Person) -> None:
    viv.page.goto(OF_TICKETS)
    viv.sees("Champion is version 1")
    viv.page.get_by_role("link", name="Actions").click()
    viv.sees("You may look at this flywheel, and not change it.")
    assert viv.page.get_by_role("button").count() == 0


def _sees_the_backfill_end(admin: Person, client: AirflowClient) -> None:
    runs = eventually(lambda: len(found := client.runs(DAG)) == 4 and found)
    backfilled = [run for run in runs if run["run_type"] == "backfill"]
    assert sorted(run["logical_date"][:10] for run in backfilled) == [str(day) for day in PAST]
    for run in backfilled:
        assert ended(client, DAG, run["dag_run_id"])["run"] == "success"
    admin.page.goto(f"/dags/{DAG}/runs")
    admin.sees("4 Dag Runs")
    admin.shot("backfilled")


def _fill_in_the_rollback(person: Person) -> None:
    form = person.dialog()
    form.get_by_role("combobox").first.click()
    person.page.get_by_role("option", name="tickets").first.click()
    form.locator("[name=element_reason]").fill(REASON)


def _rolls_back(admin: Person, client: AirflowClient) -> None:
    page = admin.page
    page.goto("/dags/rollback")
    if (client.dag("rollback") or {})["is_paused"]:  # another test of this Airflow may have unpaused it
        page.get_by_test_id("toggle-pause").first.click()
    page.get_by_test_id("trigger-dag-button").first.click()
    _fill_in_the_rollback(admin)
    admin.shot("rollback", of=admin.dialog())

    page.goto(f"{OF_TICKETS}/actions")
    form = page.get_by_role("form", name="Roll back")
    form.get_by_label("Reason").fill(REASON)
    form.get_by_role("button", name="Roll back").click()
    form.get_by_text("Rolled back: the champion has moved.").wait_for(timeout=LONG_MS)
    form.get_by_role("link", name="See its run in Airflow").click()
    page.get_by_role("row", name="rollback").get_by_text("Success").wait_for()
    page.goto(OF_TICKETS)
    admin.sees("Champion is the base model")
    admin.sees(REASON)
