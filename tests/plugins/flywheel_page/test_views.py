"""What a person reads on the Flywheel page."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

SignIn = Callable[..., list[Any]]
DAG = "/dags/flywheel_tickets"
TURN = f"{DAG}/turns/2026-11-20T00:00Z"
VIEWS = [
    "/",
    DAG,
    f"{DAG}/turns",
    TURN,
    f"{TURN}/prompts",
    f"{TURN}/prompts/q",
    f"{TURN}/changed/tickets",
    f"{DAG}/lineage",
    f"{DAG}/lineage?version=20",
    f"{DAG}/lineage?row=request-1",
    f"{DAG}/actions",
]


class Read(HTMLParser):
    """What a page is made of: its elements with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def read(browser: Any, sign_in: SignIn, known: Any) -> Callable[[str], Read]:
    """Opens a view, signed in."""
    sign_in()

    def opens(path: str) -> Read:
        answer = browser.get(path)
        assert answer.status_code == 200, answer.text
        return Read(answer.text)

    return opens


@pytest.mark.parametrize("path", VIEWS)
def test_every_view_can_be_used_without_a_mouse_and_without_eyes(read: Callable[[str], Read], path: str) -> None:
    page = read(path)
    assert page.all("html") == [{"lang": "en"}] and len(page.all("main")) == len(page.all("h1")) == 1
    assert len(page.all("title")) == 1
    assert len(page.all("caption")) + len(page.all("details")) >= len(page.all("table"))
    assert all(header.get("scope") in ("col", "row") for header in page.all("th"))
    labelled = {label["for"] for label in page.all("label") if "for" in label}
    fields = [field for tag in ("input", "select") for field in page.all(tag) if field.get("type") != "hidden"]
    assert {field["id"] for field in fields if "id" in field} <= labelled
    names = [found["id"] for _, found in page.elements if "id" in found]
    assert len(names) == len(set(names))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    assert all(canvas["role"] == "img" and canvas["aria-label"] for canvas in page.all("canvas"))


@pytest.mark.parametrize("path", VIEWS)
def test_no_view_holds_script_or_style_or_fetches_from_elsewhere(read: Callable[[str], Read], path: str) -> None:
    page = read(path)
    assert not page.all("style") and not any("style" in found for _, found in page.elements)
    assert not any(name.startswith("on") for _, found in page.elements for name in found)
    scripts = [found for found in page.all("script") if found.get("type") != "application/json"]
    fetched = [found["src"] for found in scripts] + [found["href"] for found in page.all("link")]
    assert fetched and all(address.startswith("/airflow/flywheel/static/") for address in fetched)


@pytest.mark.parametrize("path", [f"{TURN}/prompts", f"{TURN}/prompts/q", f"{TURN}/changed/tickets"])
def test_what_users_and_models_wrote_is_shown_as_text(
    browser: Any, read: Callable[[str], Read], known: Any, path: str
) -> None:
    assert known.hostile in read(path).text
    assert known.hostile not in browser.get(path).text


def test_the_overview_says_who_is_champion_and_what_was_last_decided(read: Callable[[str], Read], known: Any) -> None:
    page = read(DAG)
    assert "Champion is version 20, for 3 days. ada: it is better" in page.text
    assert known.reason in page.text and "8 of 8" in page.text
    assert "1,204" in page.text and "93 rows in quarantine" in page.text and "1,092,809 tokens" in page.text
    charts = [json.loads(text) for text in page.words if text.startswith('{"')]
    assert [chart["kind"] for chart in charts] == ["lines", "lines", "lines", "bars", "bars", "bars"]
    candidate = charts[0]["series"][0]
    assert (candidate["values"], candidate["low"], candidate["marks"]) == ([0.511], [0.45], [True])


def test_every_chart_stands_in_a_sentence_and_in_a_table_too(read: Callable[[str], Read]) -> None:
    page = read(DAG)
    assert len(page.all("canvas")) == len(page.all("figure")) == len(page.all("details")) == 6
    assert "Last: candidate 51.1 % [45.0, 57.0], champion 45.0 %. 1 promotion, the last in 2026-11-20." in page.text
    assert "51.1 % [45.0, 57.0] 45.0 % [39.0, 51.0] +6.1 [+3.0, +9.2] 200 version 20" in page.text


def test_a_turn_begins_with_its_verdict_in_words(read: Callable[[str], Read], known: Any) -> None:
    page = read(TURN)
    assert f"Turn 2026-11-20 Promote Version 20 passed the gate. {known.reason}" in page.text
    assert "Logged rows 1,410 Prompts 803 Releases –" in page.text
    assert "near_duplicate validate 81" in page.text and "301,000 41.0 % 115" in page.text
    links = {link["href"] for link in page.all("a")}
    assert f"/airflow/flywheel{DAG}/turns/2026-11-20T00%3A00Z/changed/tickets" in links
    kinds = [json.loads(text)["kind"] for text in page.words if text.startswith('{"')]
    assert kinds == ["bars", "reliability", "curve"]


def test_a_list_of_turns_says_where_a_person_was_asked(
    read: Callable[[str], Read], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tao_airflow.flywheel_page import data

    from tao_ops.views.records import Page
    from tests.plugins.flywheel_page.conftest import line

    lines = (line(approval="pending"), line(approval="pending", decision="reject"), line())
    monkeypatch.setattr(data, "turns", lambda flywheel, *, page, size: Page(lines, page, size, 3))
    assert read(f"{DAG}/turns").text.count("put to a person") == 1


def test_a_turns_address_may_be_written_as_its_folder_is(read: Callable[[str], Read]) -> None:
    assert read(f"{DAG}/turns/2026-11-20T00-00Z").text == read(TURN).text


def test_the_filters_of_prompts_are_part_of_the_address_and_stay(
    browser: Any, read: Callable[[str], Read], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tao_airflow.flywheel_page import data

    asked: list[Any] = []
    found = data.prompts

    def prompts(*args: Any, **named: Any) -> Any:
        asked.append({name: value for name, value in named.items() if name != "size"})
        return found(*args, **named)

    monkeypatch.setattr(data, "prompts", prompts)
    page = read(f"{TURN}/prompts?only=failure&task=&strategy=plain&search=+kettle+&page=2")
    assert asked == [{"only": "failure", "task": None, "strategy": "plain", "search": "kettle", "page": 2}]
    assert [option["value"] for option in page.all("option") if "selected" in option and "value" in option] == [
        "failure"
    ]
    next_page = next(link["href"] for link in page.all("a") if link.get("rel") == "next")
    assert next_page == "?only=failure&task=&strategy=plain&search=+kettle+&page=3"


def test_a_prompt_shows_its_candidates_with_scores_and_flags(read: Callable[[str], Read]) -> None:
    text = read(f"{TURN}/prompts/q").text
    assert "Reward 0.97 truncated" in text and "Answer: the answer" in text
    assert "json_schema 1.00 consensus undecided: no two agree" in text
    assert "held out: explored, and never trained on" in text


def test_changed_items_show_both_answers_or_why_there_is_none(read: Callable[[str], Read]) -> None:
    text = read(f"{TURN}/changed/tickets").text
    assert "Item item-7 : worse by 1.00 Champion: score 1.00, reward 0.90" in text
    assert "Candidate: score 0.00 repeated The answer is not kept" in text


def test_lineage_goes_back_from_a_version_to_its_rows(read: Callable[[str], Read], known: Any) -> None:
    page = read(f"{DAG}/lineage?version=20")
    assert "Trained with raft on 5,120 rows in turn 2026-11-20 , run manual__1, seed 1." in page.text
    assert "5,108 of 5,120 rows lie there." in page.text and "sampled in training" in page.text
    turn = f"/airflow/flywheel{DAG}/turns/2026-11-20T00%3A00Z"
    assert f"{turn}/prompts/{known.query}" in {link["href"] for link in page.all("a")}
    assert "?version=20&page=2" in {link["href"] for link in page.all("a")}


def test_lineage_goes_forward_from_a_row_to_the_versions_it_reached(read: Callable[[str], Read]) -> None:
    page = read(f"{DAG}/lineage?row=request-1")
    assert "It reached 1 model, 1 of them registered." in page.text and "a prompt of tickets" in page.text
    assert f"/airflow/flywheel{DAG}/lineage?version=20" in {link["href"] for link in page.all("a")}


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        (f"{DAG}/turns/2026-01-01T00:00Z", 404, "tickets has no turn '2026-01-01T00:00Z'"),
        (f"{DAG}/lineage?version=99", 404, "there is no version 99 of tickets"),
        (f"{DAG}/lineage?row=none", 404, "nothing is known of 'none'"),
        (f"{DAG}/runs/manual__2", 404, "The run manual__2 has recorded nothing yet"),
        ("/dags/rollback", 404, "The DAG rollback turns no flywheel."),
        ("/dags/flywheel_none", 404, "the lake has no turn of flywheel 'none'"),
        ("/none", 404, "Not Found"),
        (f"{DAG}/turns?page=2", 404, "There is no page 2: the last one is 1."),
        (f"{TURN}/prompts?page=4", 404, "There is no page 4: the last one is 3."),
        (f"{TURN}/changed/tickets?page=9", 404, "There is no page 9: the last one is 1."),
        (f"{DAG}/lineage?version=20&page=104", 404, "There is no page 104: the last one is 103."),
        (f"{DAG}/lineage?version={2**31}", 400, "The address is not understood: version: Input should be less than"),
        (f"{DAG}/turns?page=0", 400, "The address is not understood: page: Input should be greater than"),
        (f"{TURN}/prompts?only=odd", 400, "The address is not understood: only: Input should be 'all'"),
        (f"{DAG}/lineage?version=x", 400, "The address is not understood: version: Input should be a valid integer"),
    ],
)
def test_where_there_is_nothing_one_line_says_so(
    browser: Any, sign_in: SignIn, known: Any, path: str, status: int, says: str
) -> None:
    sign_in()
    answer = browser.get(path)
    assert answer.status_code == status and says in Read(answer.text).text


def test_a_lake_or_registry_that_does_not_answer_is_no_missing_page(
    browser: Any, sign_in: SignIn, known: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tao_airflow.flywheel_page import data

    from tao_ops.errors import RegistryError

    def down(*args: Any, **named: Any) -> Any:
        raise RegistryError("the database does not answer")

    monkeypatch.setattr(data, "turn", down)
    monkeypatch.setattr(data, "overview", down)
    sign_in()
    answer = browser.get(TURN)
    assert answer.status_code == 503 and "the database does not answer" in answer.text
    assert browser.get("/").text.count("the database does not answer") == 2


def test_a_flywheel_that_has_not_turned_yet_is_no_error(browser: Any, sign_in: SignIn, known: Any) -> None:
    sign_in()
    # The error that every read of it raises names other flywheels, which the user may not know of.
    for path in ("", "/turns", "/prompts", "/turns/2026-11-20T00:00Z", "/lineage?row=r", "/lineage?version=1"):
        answer = browser.get(f"/dags/flywheel_young{path}")
        assert answer.status_code == 200 and "No turn yet: trigger the DAG flywheel_young" in answer.text
    assert "No turn yet" in browser.get("/").text


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/turn/tickets/2026-11-20T00:00Z", f"{DAG}/turns/2026-11-20T00%3A00Z"),
        ("/?dag=flywheel_tickets", DAG),
        ("/?dag=flywheel_tickets&run=manual__1", f"{DAG}/runs/manual__1"),
        ("/?dag=flywheel_tickets&run=a%2Fb%3A%2B1", f"{DAG}/runs/a%2Fb%3A%2B1"),
        (f"{DAG}/runs/manual__1", f"{DAG}/turns/2026-11-20T00%3A00Z"),
        (f"{DAG}/prompts", f"{DAG}/turns/2026-11-20T00%3A00Z/prompts"),
    ],
)
def test_the_addresses_of_logs_and_tabs_lead_to_their_view(
    browser: Any, sign_in: SignIn, known: Any, path: str, leads_to: str
) -> None:
    sign_in()
    answer = browser.get(path)
    assert (answer.status_code, answer.headers["location"]) == (307, f"/airflow/flywheel{leads_to}")


def test_the_tab_of_another_dag_says_that_it_is_none(browser: Any, sign_in: SignIn, known: Any) -> None:
    sign_in()
    assert "The DAG maintenance turns no flywheel." in browser.get("/?dag=maintenance&run=r").text


def test_airflow_shows_the_page_in_its_navigation_on_each_dag_and_on_each_run() -> None:
    from tao_airflow import flywheel_page
    from tao_airflow.plugin import TaoPlugin

    mounted = {each["url_prefix"]: each["app"] for each in TaoPlugin.fastapi_apps}
    assert mounted["/flywheel"] is flywheel_page.app
    assert {view["destination"]: view["href"] for view in TaoPlugin.external_views} == {
        "nav": "flywheel/",
        "dag": "flywheel/?dag={DAG_ID}",
        "dag_run": "flywheel/?dag={DAG_ID}&run={RUN_ID}",
    }
    assert len({view["url_route"] for view in TaoPlugin.external_views}) == 3


def test_the_icons_of_the_navigation_are_there(browser: Any, sign_in: SignIn) -> None:
    from tao_airflow.flywheel_page import EXTERNAL_VIEWS

    sign_in()
    for icon in {view[name] for view in EXTERNAL_VIEWS for name in ("icon", "icon_dark_mode")}:
        answer = browser.get(icon.removeprefix("flywheel"))
        assert answer.status_code == 200 and answer.headers["content-type"] == "image/svg+xml"
