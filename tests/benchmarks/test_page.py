"""The benchmark of the page: both sides look at the same lake and show the same."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.page import _rows, data, look, percentile
from tao_ops.lake import Lake
from tao_ops.views import lineage, overview
from tao_ops.views.models import models

NOWHERE = "postgresql://127.0.0.1:1/tao"


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Four turns, the newest of forty prompts."""
    small = {"TURNS_IN_ALL": 4, "LARGE": 3, "CANDIDATES": 320, "SMALL_PROMPTS": 4}
    for name, value in small.items():
        monkeypatch.setattr(data, name, value)
    return data.build(tmp_path / "lake")


def _first(rows: Any) -> list[str]:
    return [row[0] for row in rows[0]]


def test_both_sides_choose_and_order_the_same_prompts(lake: Lake) -> None:
    ours, peer = look._ours(lake.root, NOWHERE), look._peer(lake.root, NOWHERE)
    for view in ("prompts", "prompts, narrowed", "prompts, searched"):
        mine: Any = ours[view]()
        shown = [line.query_id for line in mine.items]
        assert shown and shown == _first(peer[view]()), view
    one: Any = ours["one prompt"]()
    assert len(one.candidates) == data.EACH
    assert set(peer) < set(ours)


def test_the_made_history_is_whole(lake: Lake) -> None:
    seen = overview.overview(lake, NOWHERE, data.FLYWHEEL)
    assert (seen.turns, len(seen.rewards), len(seen.cost)) == (4, 4, 4)
    assert {line.stages for line in seen.verdicts} == {8}
    assert len(models(lake, data.FLYWHEEL)) == 4
    query, logged, prompts, first, erased = lineage._found(lake, data.FLYWHEEL, data.request_id(2, 1))
    assert (query, len(logged), len(prompts), len(first), erased) == (data.query_id(2, 1), 1, 1, 1, [])


def test_a_lake_is_made_once_and_never_over_something_else(lake: Lake, tmp_path: Path) -> None:
    assert data.build(Path(lake.root)).root == lake.root
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").touch()
    with pytest.raises(SystemExit, match="holds something else"):
        data.build(other)


def test_figures_are_of_the_middle_and_of_the_slow_end() -> None:
    assert (percentile([3, 1, 2], 50), percentile([3, 1, 2], 95), percentile([0.12345], 50)) == (2, 3, 0.123)
    rows = _rows([{"turn": [2.0, 0.5, 0.25]}], [{"turn": [1.0, 1.0, 0.5]}])
    assert [(row.figure, row.ours, row.peer, row.ratio, row.met) for row in rows] == [
        ("turn, cold, p50", 2.0, 1.0, 2.0, None),
        ("turn, cold, p95", 2.0, 1.0, 2.0, False),
        ("turn, warm, p50", 0.25, 0.5, 0.5, None),
        ("turn, warm, p95", 0.5, 1.0, 0.5, True),
    ]
