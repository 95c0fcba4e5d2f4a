"""A turn's prompts: narrowed, ordered, searched and paged; and one of them with its candidates."""

from collections.abc import Callable
from typing import Any

import pytest

from tao_ops.errors import ConfigError, DataError
from tao_ops.stages import Stage
from tao_ops.tables import RESPONSES
from tao_ops.views.prompts import choices, prompt, prompts
from tao_ops.views.records import Only, Page, PromptLine

Days = Callable[..., Any]
NAME = "tickets"
TEXTS = {
    "a": "Where is my kettle?",
    "b": 'It\'s "late", 50% of it.',
    "c": "A refund, please.",
    "d": "Nobody answers (why?)",
}


@pytest.fixture
def day(days: Days) -> Any:
    """A turn of four prompts: both kinds of answers, wrong ones alone, right ones alone, none."""
    day = days()
    day.record(Stage.SCORE)
    day.ask(TEXTS, counts={"c": 5, "b": 2, "a": 1, "d": 1})
    day.answer(
        [("a", "plain", 0.1), ("a", "plain", 0.9), ("a", "worked", 0.7), ("b", "plain", 0.2), ("b", "worked", 0.3)],
        shard=0,
        flags=["a:plain:0", "b:plain:0", "b:worked:0"],
    )
    day.answer([("c", "plain", 0.8), ("c", "plain", None), ("c", "worked", 0.6)], shard=1)
    return day


def _ids(found: Page[PromptLine]) -> list[str]:
    return [line.query_id for line in found.items]


def test_the_prompts_asked_most_often_come_first(day: Any) -> None:
    found = prompts(day.lake, NAME, day.key)
    assert (_ids(found), found.total) == (["c", "b", "a", "d"], 4)


def test_a_line_tells_what_came_of_a_prompt(day: Any) -> None:
    lines = {line.query_id: line for line in prompts(day.lake, NAME, day.key).items}
    a, c, d = lines["a"], lines["c"], lines["d"]
    assert (a.task, a.split, a.text, a.count) == ("tickets", "train", TEXTS["a"], 1)
    assert (a.candidates, a.rewarded, a.right, a.answers, a.flagged) == (3, 3, 2, 2, 1)
    assert (a.lowest, a.best) == (0.1, 0.9)
    assert a.mean == pytest.approx(1.7 / 3)
    assert (c.candidates, c.rewarded, c.right, c.lowest) == (3, 2, 2, 0.6)
    assert (d.candidates, d.rewarded, d.lowest, d.mean, d.best) == (0, 0, None, None, None)


@pytest.mark.parametrize(
    ("only", "expected"),
    [(Only.DISAGREEMENT, ["a"]), (Only.FAILURE, ["b"]), (Only.FLAGGED, ["b", "a"]), (Only.ALL, ["c", "b", "a", "d"])],
)
def test_prompts_are_narrowed_to_what_is_worth_a_look(day: Any, only: Only, expected: list[str]) -> None:
    found = prompts(day.lake, NAME, day.key, only=only)
    assert (_ids(found), found.total) == (expected, len(expected))


def test_with_a_strategy_the_figures_are_of_its_candidates(day: Any) -> None:
    found = prompts(day.lake, NAME, day.key, strategy="worked")
    assert _ids(found) == ["c", "b", "a"]
    assert [(line.candidates, line.best) for line in found.items] == [(1, 0.6), (1, 0.3), (1, 0.7)]
    # One right answer alone is no disagreement.
    assert _ids(prompts(day.lake, NAME, day.key, strategy="worked", only=Only.DISAGREEMENT)) == []


def test_only_the_chosen_tasks_prompts_are_there(day: Any) -> None:
    assert prompts(day.lake, NAME, day.key, task="tickets").total == 4
    assert prompts(day.lake, NAME, day.key, task="refunds").total == 0
    assert choices(day.lake, NAME, day.key).tasks == ("tickets",)
    assert choices(day.lake, NAME, day.key).strategies == ("plain", "worked")


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("KETTLE", ["a"]),
        ('It\'s "late"', ["b"]),
        ("50%", ["b"]),
        ("%", ["b"]),
        ("(why?)", ["d"]),
        ("' or 1=1 --", []),
        ("i say: c:worked", ["c"]),
        ("nothing says so", []),
    ],
)
def test_a_search_finds_what_is_said_as_it_stands(day: Any, search: str, expected: list[str]) -> None:
    assert _ids(prompts(day.lake, NAME, day.key, search=search)) == expected


def test_pages_end_where_the_prompts_do(day: Any) -> None:
    pages = [prompts(day.lake, NAME, day.key, page=number, size=3) for number in (1, 2, 3)]
    assert [_ids(page) for page in pages] == [["c", "b", "a"], ["d"], []]
    assert {(page.total, page.pages) for page in pages} == {(4, 2)}
    assert [(page.first, page.last) for page in pages] == [(1, 3), (4, 4), (0, 0)]


def test_a_reward_that_an_earlier_run_left_is_not_of_these_responses(days: Days, day: Any) -> None:
    again = days(run_id="run-2")
    response = {"response_id": "c:plain:0", "query_id": "c", "strategy": "plain", "text": "T", "answer": "A"}
    again.lake.write(RESPONSES, [{**response, "sample": 0, "round": 0}], shard=1, **again.where)
    line = prompts(day.lake, NAME, day.key).items[0]
    assert (line.query_id, line.candidates, line.rewarded, line.best) == ("c", 1, 0, None)
    (one,) = prompt(day.lake, NAME, day.key, "c").candidates
    assert (one.reward, one.scores, one.calibrator_version) == (None, {}, None)


def test_one_prompt_shows_its_candidates_the_best_first(day: Any) -> None:
    seen = prompt(day.lake, NAME, day.key, "a")
    assert (seen.turn, seen.task, seen.split, seen.cluster, seen.count) == (day.key, "tickets", "train", "cluster-a", 1)
    assert [(m.role, m.content) for m in seen.messages] == [("user", TEXTS["a"])]
    assert [(one.strategy, one.sample, one.reward) for one in seen.candidates] == [
        ("plain", 1, 0.9),
        ("worked", 0, 0.7),
        ("plain", 0, 0.1),
    ]
    best = seen.candidates[0]
    assert (best.text, best.answer, best.tokens) == ("I say: a:plain:1", "answer 1", 7)
    assert (best.scores, best.flags, best.calibrator_version) == ({"json_schema": 1.0, "grounding": 0.9}, (), "c1")
    assert seen.candidates[-1].flags == ("repeats",)
    assert seen.scorers == ("grounding", "json_schema")


def test_what_no_scorer_could_decide_comes_last_with_its_reason(day: Any) -> None:
    seen = prompt(day.lake, NAME, day.key, "c")
    last = seen.candidates[-1]
    assert (last.reward, last.scores, last.undecided) == (None, {}, {"judge": "no reference"})
    assert seen.scorers == ("grounding", "json_schema", "judge")


def test_what_is_not_there_is_refused_with_a_way_on(day: Any) -> None:
    with pytest.raises(DataError, match='has no prompt "it\'s".*merged into a near one'):
        prompt(day.lake, NAME, day.key, "it's")
    for ask in (prompts, choices):
        with pytest.raises(DataError, match="tickets has no turn '2026'.*name one from"):
            ask(day.lake, NAME, "2026")
    with pytest.raises(DataError, match="no turn of flywheel"):
        prompts(day.lake, "others", day.key)


def test_an_impossible_search_or_page_is_refused(day: Any) -> None:
    with pytest.raises(ConfigError, match="search for 200 at most"):
        prompts(day.lake, NAME, day.key, search="x" * 201)
    with pytest.raises(ConfigError, match="the first one is 1"):
        prompts(day.lake, NAME, day.key, page=0)
