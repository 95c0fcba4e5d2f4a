"""A write replaces one partition, whole, in one commit, or nothing."""

import multiprocessing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable, write_deltalake

from tao_ops.errors import LakeError
from tao_ops.lake import Lake, open_lake
from tao_ops.tables import PROMPTS, QUARANTINE, RESPONSES, REWARDS, TABLES
from tao_ops.turn import Turn


def _turn(day: int = 21, flywheel: str = "tickets") -> Turn:
    start = datetime(2026, 11, day, tzinfo=UTC)
    return Turn(flywheel, start, start + timedelta(days=1))


def _prompts(*names: str) -> list[dict[str, Any]]:
    messages = [{"role": "user", "content": "hi"}]
    return [
        {"query_id": n, "task": "t", "messages": messages, "count": 1, "cluster": n, "split": "train"} for n in names
    ]


def _ids(lake: Lake, **where: Any) -> list[str]:
    return sorted(lake.read(PROMPTS, columns=["query_id"], **where).column("query_id").to_pylist())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path / "new" / "lake"))


def test_a_lake_that_was_never_written_reads_as_empty(lake: Lake) -> None:
    for table in TABLES.values():
        assert lake.version(table) is None
        assert lake.read(table).num_rows == 0 and lake.read(table).schema == table.schema
    lake.delete(PROMPTS, turn=_turn())
    assert lake.version(PROMPTS) is None


def test_a_write_replaces_its_own_turn_and_no_other(lake: Lake) -> None:
    lake.write(PROMPTS, _prompts("a", "b"), turn=_turn(20), run_id="r1")
    lake.write(PROMPTS, _prompts("a", "b"), turn=_turn(21), run_id="r1")
    lake.write(PROMPTS, _prompts("x"), turn=_turn(21, "it's"), run_id="r1")
    lake.write(PROMPTS, _prompts("b", "c", "d"), turn=_turn(21), run_id="r2")
    assert _ids(lake, flywheel="tickets", turn=_turn(20).key) == ["a", "b"]
    assert _ids(lake, flywheel="tickets", turn=_turn(21).key) == ["b", "c", "d"]
    assert _ids(lake, flywheel="it's") == ["x"]
    assert set(lake.read(PROMPTS, turn=_turn(21).key, flywheel="tickets").column("run_id").to_pylist()) == {"r2"}


def test_a_shard_and_a_stage_are_partitions_too(lake: Lake) -> None:
    row = {"response_id": "q:plain:0", "query_id": "q", "scores": [("strict_json", 1.0)], "reward": 1.0, "flags": []}
    for shard in (0, 1, 0):
        lake.write(REWARDS, [row], turn=_turn(), run_id="r", shard=shard)
    assert sorted(lake.read(REWARDS).column("shard").to_pylist()) == [0, 1]
    assert dict(lake.read(REWARDS, shard=1).to_pylist()[0]["scores"]) == {"strict_json": 1.0}
    with pytest.raises(ValueError, match="shard"):
        lake.write(REWARDS, [row], turn=_turn(), run_id="r")


def test_a_repeated_key_is_refused_and_nothing_is_written(lake: Lake) -> None:
    before = lake.write(PROMPTS, _prompts("a"), turn=_turn(), run_id="r")
    with pytest.raises(LakeError, match=r"2 rows repeat another's query_id \[prompts\]"):
        lake.write(PROMPTS, _prompts("b", "b", "c", "c"), turn=_turn(), run_id="r")
    assert lake.version(PROMPTS) == before and _ids(lake) == ["a"]


def test_an_empty_write_clears_the_turn(lake: Lake) -> None:
    lake.write(PROMPTS, _prompts("a"), turn=_turn(20), run_id="r")
    lake.write(PROMPTS, _prompts("a", "b"), turn=_turn(21), run_id="r")
    lake.write(PROMPTS, [], turn=_turn(21), run_id="r")
    assert lake.read(PROMPTS).column("turn").to_pylist() == [_turn(20).key]


def test_an_earlier_version_can_still_be_read(lake: Lake) -> None:
    first = lake.write(PROMPTS, _prompts("a"), turn=_turn(), run_id="r1")
    second = lake.write(PROMPTS, _prompts("b"), turn=_turn(), run_id="r2")
    assert second > first and lake.version(PROMPTS) == second
    assert _ids(lake, version=first) == ["a"] and _ids(lake) == ["b"]


def test_a_read_takes_a_value_or_any_of_several(lake: Lake) -> None:
    for day in (19, 20, 21):
        lake.write(PROMPTS, _prompts(f"d{day}", f"e{day}"), turn=_turn(day), run_id="r")
    assert _ids(lake, turn=[_turn(19).key, _turn(21).key]) == ["d19", "d21", "e19", "e21"]
    assert _ids(lake, turn=_turn(19).key, query_id="e19") == ["e19"]
    assert _ids(lake, turn=[]) == []


def test_rows_come_back_as_they_went_in(lake: Lake) -> None:
    row = {
        "response_id": "q:plain:0", "query_id": "q", "strategy": "plain", "strategy_version": "v", "sample": 0,
        "text": " ü\n", "answer": "ü", "token_ids": [1, 2], "logprobs": [-0.5, -1.25], "finish_reason": "stop",
        "model_version": "m",
    }  # fmt: skip
    lake.write(RESPONSES, [row], turn=_turn(), run_id="r", shard=3)
    (found,) = lake.read(RESPONSES).to_pylist()
    assert found == {**row, "flywheel": "tickets", "turn": "2026-11-21T00:00Z", "run_id": "r", "shard": 3}


def test_a_delete_takes_only_the_named_rows_of_the_turn(lake: Lake) -> None:
    for shard in range(3):
        for day in (20, 21):
            row = {"response_id": f"q{shard}", "query_id": "q", "scores": [], "reward": 0.0, "flags": []}
            lake.write(REWARDS, [row], turn=_turn(day), run_id="r", shard=shard)
    lake.delete(REWARDS, turn=_turn(21), shard={1, 2})
    left = lake.read(REWARDS).to_pylist()
    assert sorted((row["turn"], row["shard"]) for row in left) == [
        *((_turn(20).key, shard) for shard in range(3)),
        (_turn(21).key, 0),
    ]


def _write_turn(root: str, day: int, barrier: Any) -> None:
    lake = open_lake(root)
    barrier.wait(60)
    for attempt in range(3):
        lake.write(PROMPTS, _prompts(*(f"q{i}" for i in range(day))), turn=_turn(day), run_id=f"r{attempt}")


def test_processes_that_write_different_turns_at_once_all_succeed(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier, root = spawn.Barrier(4), str(tmp_path / "lake")
    writers = [spawn.Process(target=_write_turn, args=(root, day, barrier)) for day in (11, 12, 13, 14)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0, 0, 0]
    lake = Lake(root)
    for day in (11, 12, 13, 14):
        rows = lake.read(PROMPTS, turn=_turn(day).key).to_pylist()
        assert len(rows) == day and {row["run_id"] for row in rows} == {"r2"}


@pytest.mark.parametrize("description", ["schema_version=99", None])
def test_a_table_of_another_release_is_refused_untouched(lake: Lake, description: str | None) -> None:
    uri = lake.uri(QUARANTINE)
    write_deltalake(uri, QUARANTINE.schema.empty_table(), description=description)
    with pytest.raises(LakeError, match=r"quarantine.* another TAO_LAKE"):
        lake.read(QUARANTINE)
    with pytest.raises(LakeError, match="another TAO_LAKE"):
        lake.write(QUARANTINE, [], turn=_turn(), run_id="r", stage="ingest")
    assert DeltaTable(uri).version() == 0


def test_a_damaged_table_is_named(lake: Lake) -> None:
    lake.write(PROMPTS, _prompts("a"), turn=_turn(), run_id="r")
    for entry in (Path(lake.root) / "prompts" / "_delta_log").glob("*.json"):
        entry.write_text("{", encoding="utf-8")
    with pytest.raises(LakeError, match="prompts"):
        lake.read(PROMPTS)


def test_artifacts_have_a_folder_per_run(lake: Lake) -> None:
    folder = lake.artifacts(_turn(), "manual__1/2")
    assert folder.is_dir() and folder.relative_to(lake.root) == Path("artifacts/tickets/2026-11-21T00-00Z/manual__1-2")
    with pytest.raises(LakeError, match="TAO_LAKE"):
        Lake("s3://bucket/lake").artifacts(_turn(), "r")
