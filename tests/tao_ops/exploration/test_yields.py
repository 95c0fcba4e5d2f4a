"""What strategies found is told, added up, and remembered with less weight the older it is."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tao_ops.exploration import Yield, earlier, merged, sentences, told
from tao_ops.lake import Lake, open_lake
from tao_ops.tables import TURNS
from tao_ops.turn import Turn


def _turn(day: int) -> Turn:
    start = datetime(2026, 11, day, tzinfo=UTC)
    return Turn("shop", start, start + timedelta(days=1))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path / "lake"))


def _record(lake: Lake, day: int, samples: int, shard: int = 0) -> None:
    found = {"t": {"plain": Yield(samples, 10 * samples, samples / 2, samples / 4).as_dict()}}
    row = {"status": "done", "inputs": [], "metrics": json.dumps({"yields": found})}
    lake.write(TURNS, [row], turn=_turn(day), run_id="r", stage="generate", shard=shard)


def test_shards_add_up_and_older_turns_count_half_as_much_each(lake: Lake) -> None:
    _record(lake, 20, 8, shard=0)
    _record(lake, 20, 8, shard=1)
    _record(lake, 19, 16)
    assert earlier(lake, _turn(21), 7) == {"t": {"plain": Yield(12, 120, 6, 3)}}
    assert earlier(lake, _turn(21), 1) == {"t": {"plain": Yield(8, 80, 4, 2)}}


def test_neither_this_turn_nor_a_later_one_counts(lake: Lake) -> None:
    for day in (20, 21):
        _record(lake, day, 8)
    assert earlier(lake, _turn(20), 7) == {} == earlier(lake, _turn(22), 0)


def test_a_turn_of_an_earlier_release_tells_nothing(lake: Lake) -> None:
    row = {"status": "done", "inputs": [], "metrics": "{}"}
    lake.write(TURNS, [row], turn=_turn(20), run_id="r", stage="generate", shard=0)
    assert earlier(lake, _turn(21), 7) == {}


def test_what_is_told_is_read_back() -> None:
    known = {"t": {"plain": Yield(4, 40, 2, 1.5), "other": Yield(1, 9)}}
    plain = told(known)
    assert merged([plain]) == known
    assert plain["t"]["plain"]["pass_rate"] == 0.5 and plain["t"]["plain"]["tokens_a_pass"] == 20
    assert plain["t"]["other"]["tokens_a_pass"] is None
    assert sentences(known)[1] == "t/other: 1 samples, 9 tokens, 0 % passed"
