"""A small crowd leaves one champion and a whole history, and the trial says so where a registry does not."""

import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tao_ops.database import start_embedded
from tao_ops.registry import ChampionEvent, EventKind
from trials.registry.crowd import State, crowd, faults

AT = datetime(2026, 11, 21, tzinfo=UTC)


def test_eight_turns_at_once_leave_one_champion_and_a_whole_history() -> None:
    with tempfile.TemporaryDirectory(prefix="tao-") as scratch:
        server = start_embedded(Path(scratch) / "server")
        try:
            cell = crowd(Path(scratch) / "home", server.url("crowd"), "tickets_crowd", turns=8, seed=5)
        finally:
            server.stop()
    assert cell["faults"] == [] and cell["held"]
    assert cell["killed"] >= 1
    assert [new for _, new in cell["chain"]][-1:] == [cell["champion"]]


def _event(kind: EventKind, old: int, new: int, version: int) -> ChampionEvent:
    return ChampionEvent(kind, AT, "who", "why", old, new, version)


GOOD = State(
    champion=2,
    aliases={"champion": 2, "previous": 1},
    history=[
        _event(EventKind.REGISTERED, 0, 0, 1),
        _event(EventKind.PROMOTE, 0, 1, 1),
        _event(EventKind.REGISTERED, 1, 1, 2),
        _event(EventKind.PROMOTE, 1, 2, 2),
    ],
    versions={1: ("run-0", "a"), 2: ("run-1", "b")},
    tests=[(0, "a", 1), (0, "b", 2), (1, "b", 1)],
    runs={"FINISHED": 2},
)


class _Turn:
    """A turn that ended, by its run and its candidate."""

    def __init__(self, run_id: str, candidate: str, exits: list[int]) -> None:
        self.turn: Any = type("Turn", (), {"run": type("Run", (), {"run_id": run_id}), "candidate": candidate})
        self.exits, self.log = exits, "error: broken"


def _wrong(state: State, *, exits: list[int]) -> list[str]:
    ended: list[Any] = [_Turn("run-0", "a", [-9, 0]), _Turn("run-1", "b", exits)]
    return faults(state, ended)


def test_a_registry_that_lost_something_is_told() -> None:
    assert _wrong(GOOD, exits=[0]) == []
    for changed, said in (
        ({"champion": 1}, "the last event made 2 it"),
        ({"aliases": {"champion": 1, "previous": 1}}, "alias champion is on 1, the record has 2"),
        ({"history": [*GOOD.history[:3], _event(EventKind.PROMOTE, 0, 2, 2)]}, "took the place of 0, which was 1"),
        ({"history": GOOD.history[1:]}, "version 1 was told 0 times"),
        ({"versions": {1: ("run-0", "a"), 2: ("run-0", "a")}}, "run-0 has 2 versions"),
        ({"versions": {1: ("run-0", "a")}}, "run-1 has no version"),
        ({"tests": [(0, "a", 1), (0, "b", 1)]}, "counted [1, 1]"),
        ({"runs": {"FINISHED": 1, "RUNNING": 1}}, "MLflow's runs"),
    ):
        assert any(said in fault for fault in _wrong(replace(GOOD, **changed), exits=[0])), said  # type: ignore[arg-type]
    assert "run-1 never ended" in _wrong(GOOD, exits=[-9, 1])[0]
