"""The benchmark of scoring asks both sides the same, in turns, and needs no data but what it makes."""

import importlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.score import checks, data, databases, references, shard
from benchmarks.score import contests as timing
from benchmarks.score.contests import Contest, race
from tao_ops.rewards import Score
from tao_ops.settings import PROJECT
from trials.sql_rewards import questions


@pytest.fixture(autouse=True)
def _without_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "FOLDER", tmp_path / "none")
    monkeypatch.setattr(questions, "DATA", tmp_path / "none")
    for module, name in ((checks, "TEXTS"), (references, "NUMBERS")):
        monkeypatch.setattr(module, name, 200)
    monkeypatch.setattr(references, "FORMULAS", 6)
    monkeypatch.setattr(databases, "QUERIES", 12)


def _right(verdicts: Sequence[object]) -> list[bool]:
    return [one.value == 1.0 if isinstance(one, Score) else bool(one) for one in verdicts]


def test_both_sides_take_turns_and_are_called_once_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "LEAST_S", 0.0)
    called = []

    def side(name: str, work: int) -> list[str]:
        called.append(name)
        return [name] * len([sum(range(100)) for _ in range(work)])

    row = race(Contest("f", lambda _: side("ours", 10), lambda _: side("peer", 10), "by hand"), 3)
    assert called == ["ours", "peer", "ours", "peer", "peer", "ours", "ours", "peer"]
    assert row.peer is not None and row.ours > 0 < row.peer and row.ratio and row.spread
    alone = race(Contest("f", lambda _: side("ours", 10)), 1)
    assert (alone.peer, alone.ratio) == (None, None)


def test_the_made_pool_is_the_same_each_time() -> None:
    assert data.made(3, 4) == data.made(3, 4)
    assert [row["query_id"] for row in data.made(2, 3)] == ["q0"] * 3 + ["q1"] * 3


def test_what_is_written_by_hand_comes_to_the_same() -> None:
    pool = data.candidates(data.made(20, 10))
    same = {"json_schema, the example's schema", "json_schema, keys", "regex", "label"}
    same |= {"numeric, numbers", "numeric, formulas"}
    for contest in (*checks.contests(pool, PROJECT / "include"), *references.contests()):
        if contest.figure in same and contest.peer is not None:
            same.remove(contest.figure)
            ours = _right(contest.ours(1))
            assert ours == _right(contest.peer(1)) and any(ours), contest.figure
    assert not same


def test_every_contest_gives_a_verdict_per_response() -> None:
    pool = data.candidates(data.made(5, 4))
    for contest in (*checks.contests(pool, PROJECT / "include"), *references.contests()):
        sides = [contest.ours, *([contest.peer] if contest.peer else [])]
        assert len({len(side(1)) for side in sides}) == 1


def test_sql_is_run_again_in_every_repeat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contests = list(databases.contests(tmp_path))
    assert [contest.peer_name for contest in contests] == [
        f"{how}{engine}" for engine in ("sqlite3", "duckdb") for how in ("", "sqlglot.parse + ")
    ]
    run = importlib.import_module("tao_ops.rewards.sql.run")
    asked: list[object] = []
    monkeypatch.setattr(run._Worker, "ask", lambda self, request: asked.append(request) or run.NoResult("failed", "x"))
    for contest in contests:
        contest.ours(1)
    assert len(asked) == 12 * 4


def test_sql_gives_rows_on_both_sides(tmp_path: Path) -> None:
    for contest in databases.contests(tmp_path):
        assert contest.peer is not None
        assert all(contest.peer(1))
        assert all(isinstance(score, Score) and key for score, key in contest.ours(1))  # type: ignore[misc, str-unpack]


def test_the_whole_of_scoring_is_measured_on_a_pool() -> None:
    assert shard.seconds(data.made(8, 6)) > 0
    assert shard.tokens_per_second() > 0
