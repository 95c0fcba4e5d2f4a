"""The turns that the lake knows, and what is kept of them between two looks."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tao_ops.lake import Lake
from tao_ops.stages import Stage
from tao_ops.tables import TURNS
from tao_ops.views import history
from tao_ops.views.history import History

Days = Callable[..., Any]
NAME = "tickets"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The turns of each read of rows."""
    found: list[list[str]] = []
    plain = Lake.read

    def read(self: Lake, table: Any, **asked: Any) -> Any:
        found.append([turn[8:10] for turn in asked["turn"]])
        return plain(self, table, **asked)

    monkeypatch.setattr(Lake, "read", read)
    return found


def test_a_turn_is_read_once_and_again_when_it_has_changed(days: Days, reads: list[list[str]]) -> None:
    for number in (20, 21):
        days(number).record(Stage.INGEST, quarantine={})
    lake = days().lake
    for _ in range(2):
        known = History(lake, NAME)
        known.figures(known.turns)
    assert reads == [["20", "21"]]
    days(20).record(Stage.VALIDATE, quarantine={}, shards=1)
    known = History(lake, NAME)
    assert [one.line.stages for one in known.figures(known.turns)] == [2, 1]
    assert reads[1:] == [["20"]]


def test_a_turn_that_is_removed_between_its_name_and_its_rows_is_left_out(days: Days) -> None:
    for number in (20, 21):
        days(number).record(Stage.INGEST, quarantine={})
    known, gone = History(days().lake, NAME), days(20)
    gone.lake.delete(TURNS, turn=gone.turn)
    assert [one.line.turn for one in known.figures(known.turns)] == ["2026-11-21T00:00Z"]


def test_many_threads_see_the_same(days: Days) -> None:
    for number in range(1, 6):
        days(number).record(Stage.INGEST, quarantine={"not_json": number})
    lake = days().lake

    def look(_: int) -> list[Any]:
        known = History(lake, NAME)
        return known.figures(known.turns)

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(look, range(24)))
    assert all(each == seen[0] for each in seen)
    assert [one.volume.quarantined for one in seen[0]] == [{"not_json": number} for number in range(1, 6)]


def test_no_more_is_kept_than_there_is_room_for(days: Days, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = history._Kept(2)
    monkeypatch.setattr(history, "_KEPT", kept)
    for number in (20, 21, 22):
        days(number).record(Stage.INGEST, quarantine={})
    known = History(days().lake, NAME)
    assert len(known.figures(known.turns)) == 3
    assert [key[-1][8:10] for key in kept._held] == ["21", "22"]
