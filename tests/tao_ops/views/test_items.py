"""Champion and candidate side by side on the items whose score changed."""

from collections.abc import Callable
from typing import Any

import pytest

from tao_ops.errors import ConfigError, DataError
from tao_ops.stages import Stage
from tao_ops.views.items import changed_items

Days = Callable[..., Any]
NAME = "tickets"


@pytest.fixture
def day(days: Days) -> Any:
    """A turn whose candidate lost one item, won three, and of one of which a score is missing."""
    day = days()
    day.record(Stage.EVALUATE)
    day.examine([1.0, 0.0, 0.5, 0.0, 1.0, None], [0.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    return day


def test_the_worst_change_comes_first_and_what_stayed_is_not_there(day: Any) -> None:
    found = changed_items(day.lake, NAME, day.key, "exam")
    assert [(one.item_id, one.change) for one in found.items] == [
        ("i00", -1.0),
        ("i02", 0.5),
        ("i01", 1.0),
        ("i03", 1.0),
    ]
    assert found.total == 4


def test_both_answers_are_shown_with_what_was_measured(day: Any) -> None:
    lost = changed_items(day.lake, NAME, day.key, "exam").items[0]
    assert (lost.champion.output, lost.champion.score) == ("champion on i00", 1.0)
    assert (lost.candidate.output, lost.candidate.score) == ("candidate on i00", 0.0)
    assert lost.candidate.model_version == "model of candidate"
    assert (lost.candidate.tokens, lost.candidate.flags, lost.candidate.reward) == (9, ("truncated",), None)


def test_pages_end_where_the_items_do(day: Any) -> None:
    pages = [changed_items(day.lake, NAME, day.key, "exam", page=number, size=3) for number in (1, 2, 3)]
    assert [[one.item_id for one in page.items] for page in pages] == [["i00", "i02", "i01"], ["i03"], []]
    assert {page.total for page in pages} == {4}


def test_what_is_not_there_is_refused_with_a_way_on(days: Days, day: Any) -> None:
    with pytest.raises(DataError, match='has no scores on benchmark "it\'s".*it has those of exam'):
        changed_items(day.lake, NAME, day.key, "it's")
    with pytest.raises(DataError, match="has no turn '2026'"):
        changed_items(day.lake, NAME, "2026", "exam")
    other = days(22)
    other.record(Stage.INGEST)
    with pytest.raises(DataError, match="no scores on benchmark 'exam'.*run evaluate first"):
        changed_items(day.lake, NAME, other.key, "exam")
    with pytest.raises(ConfigError):
        changed_items(day.lake, NAME, day.key, "exam", size=0)
