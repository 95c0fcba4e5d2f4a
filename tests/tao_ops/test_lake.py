"""A write replaces one partition, whole, in one commit, or nothing."""

import multiprocessing
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from tao_ops import lake as lake_module
from tao_ops import lake_files, upkeep
from tao_ops.errors import DataError, LakeError
from tao_ops.lake import Lake, open_lake
from tao_ops.tables import PROMPTS, QUARANTINE, QUERIES, RESPONSES, REWARDS, TABLES
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
    row = {"response_id": "q:plain:0", "query_id": "q", "scores": [("json_schema", 1.0)], "reward": 1.0, "flags": []}
    for shard in (0, 1, 0):
        lake.write(REWARDS, [row], turn=_turn(), run_id="r", shard=shard)
    assert sorted(lake.read(REWARDS).column("shard").to_pylist()) == [0, 1]
    assert dict(lake.read(REWARDS, shard=1).to_pylist()[0]["scores"]) == {"json_schema": 1.0}
    with pytest.raises(ValueError, match="shard"):
        lake.write(REWARDS, [row], turn=_turn(), run_id="r")


def test_a_repeated_key_is_refused_and_nothing_is_written(lake: Lake) -> None:
    before = lake.write(PROMPTS, _prompts("a"), turn=_turn(), run_id="r")
    with pytest.raises(LakeError, match=r"2 rows repeat another's query_id \[prompts\]"):
        lake.write(PROMPTS, _prompts("b", "b", "c", "c"), turn=_turn(), run_id="r")
    assert lake.version(PROMPTS) == before and _ids(lake) == ["a"]


def test_a_log_of_many_commits_is_never_read_from_its_beginning(lake: Lake) -> None:
    for day in range(1, 22):
        lake.write(PROMPTS, _prompts(f"q{day}"), turn=_turn(day), run_id="r")
    log = Path(lake.uri(PROMPTS)) / "_delta_log"
    checkpoints = sorted(int(path.name.split(".")[0]) for path in log.glob("*.checkpoint.parquet"))
    version = lake.version(PROMPTS)
    assert version == 21 and version - checkpoints[-1] < 10 and len(checkpoints) == 2
    assert _ids(lake) == sorted(f"q{day}" for day in range(1, 22))


def test_a_write_that_began_before_a_purge_is_committed_after_it(lake: Lake) -> None:
    lake.write(PROMPTS, _prompts("a"), turn=_turn(20), run_id="r")

    def slow() -> Iterator[pa.RecordBatch]:
        for number in range(12):
            lake.write(PROMPTS, _prompts(f"b{number}"), turn=_turn(21), run_id="r")
        upkeep.purge(lake, PROMPTS)
        yield pa.RecordBatch.from_pylist(_prompts("c"))

    version = lake.write_stream(PROMPTS, slow(), turn=_turn(22), run_id="r")
    assert _ids(lake) == ["a", "b11", "c"] and lake.version(PROMPTS) == version
    assert not (Path(lake.uri(PROMPTS)) / "_delta_log" / f"{1:020}.json").exists()


def _queries(day: int) -> list[dict[str, Any]]:
    at = datetime(2026, 11, day, 12, tzinfo=UTC)
    return [{"request_id": f"r{day}-{n}", "received_at": at + timedelta(minutes=n)} for n in range(3)]


def test_what_was_logged_on_some_days_is_found_without_a_look_at_the_others(lake: Lake) -> None:
    for day in range(1, 9):
        lake.write(QUERIES, _queries(day), turn=_turn(day), run_id="r")
    for day in (1, 2, 3, 4, 8):  # nobody asks for these: their files may as well be gone
        for path in Path(lake.uri(QUERIES)).glob(f"flywheel=tickets/turn=2026-11-0{day}*/*.parquet"):
            path.unlink()
    days = "received_at >= '2026-11-05T12:01:00+00:00' and received_at < '2026-11-07T12:02:00+00:00'"
    found = [row for batch in lake.scan(QUERIES, ["request_id"], days) for row in batch.to_pylist()]
    expected = {f"r{day}-{n}" for day in (5, 6, 7) for n in range(3)} - {"r5-0", "r7-2"}
    assert {row["request_id"] for row in found} == expected and len(found) == len(expected)


def test_the_time_of_a_removed_row_goes_from_the_log_too(lake: Lake) -> None:
    lake.write(QUERIES, _queries(5), turn=_turn(5), run_id="r")
    lake.remove(QUERIES, request_id="r5-0")
    upkeep.purge(lake, QUERIES)
    log = Path(lake.uri(QUERIES)) / "_delta_log"
    told = [path.read_text(encoding="utf-8") for path in log.glob("*.json")]
    told += [str(pq.read_table(path).to_pylist()) for path in log.glob("*.checkpoint.parquet")]
    assert "T12:01:00" in "".join(told) and "T12:00:00" not in "".join(told)


def test_rows_without_what_the_log_tells_of_times_are_found_too(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:  # as an earlier release wrote them
        before.setattr(lake_files, "TIMES", ())
        lake.write(QUERIES, _queries(5), turn=_turn(5), run_id="r")
    lake.write(QUERIES, _queries(6), turn=_turn(6), run_id="r")
    lake.change(QUERIES, lambda opened: opened.delete("request_id = 'r6-0'"))  # its file is the Delta library's now
    found = [
        row for batch in lake.scan(QUERIES, ["request_id"], "received_at >= '2026-11-05'") for row in batch.to_pylist()
    ]
    assert sorted(row["request_id"] for row in found) == ["r5-0", "r5-1", "r5-2", "r6-1", "r6-2"]


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
        "round": 1, "temperature": 0.5, "tokens": 2,
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


def _batches(*sizes: int, **columns: Any) -> Iterator[pa.RecordBatch]:
    """Rows of ``prompts`` without the columns that all share, numbered from 0."""
    names = [field for field in PROMPTS.schema if field.name not in ("flywheel", "turn", "run_id")]
    number = 0
    for size in sizes:
        rows = [{**row, **columns} for row in _prompts(*(f"q{n}" for n in range(number, number + size)))]
        number += size
        yield pa.RecordBatch.from_pylist(rows, schema=pa.schema(names))


def _files(lake: Lake) -> set[Path]:
    return set((Path(lake.root) / "prompts").rglob("*.parquet"))


def test_a_stream_replaces_the_turn_in_one_commit(lake: Lake) -> None:
    first = lake.write_stream(PROMPTS, _batches(3, 0, 2), turn=_turn(), run_id="r1")
    assert _ids(lake) == ["q0", "q1", "q2", "q3", "q4"]
    second = lake.write_stream(PROMPTS, _batches(1, 1), turn=_turn(), run_id="r2")
    assert second == first + 1 and _ids(lake) == ["q0", "q1"] and len(_ids(lake, version=first)) == 5
    (row, _) = lake.read(PROMPTS).to_pylist()
    assert (row["flywheel"], row["turn"], row["run_id"]) == ("tickets", _turn().key, "r2")


@pytest.mark.parametrize("batches", [(), (0,), (0, 0)])
def test_a_stream_without_rows_clears_the_turn_alone(lake: Lake, batches: tuple[int, ...]) -> None:
    for day in (20, 21):
        lake.write_stream(PROMPTS, _batches(2), turn=_turn(day), run_id="r")
    before = lake.version(PROMPTS)
    assert before is not None
    assert lake.write_stream(PROMPTS, _batches(*batches), turn=_turn(21), run_id="r") == before + 1
    assert set(lake.read(PROMPTS).column("turn").to_pylist()) == {_turn(20).key}


@pytest.mark.parametrize("error", [ZeroDivisionError("mine"), DataError("mine"), KeyboardInterrupt("mine")])
def test_a_stream_that_breaks_off_writes_nothing_and_its_own_error_comes_through(
    lake: Lake, error: BaseException
) -> None:
    lake.write_stream(PROMPTS, _batches(2), turn=_turn(), run_id="r1")
    version, files = lake.version(PROMPTS), _files(lake)

    def broken() -> Iterator[pa.RecordBatch]:
        yield from _batches(5, 5)
        raise error

    with pytest.raises(type(error), match="mine") as caught:
        lake.write_stream(PROMPTS, broken(), turn=_turn(), run_id="r2")
    assert caught.value is error
    assert (lake.version(PROMPTS), _files(lake), _ids(lake)) == (version, files, ["q0", "q1"])


def test_a_stream_whose_rows_lack_a_column_writes_nothing(lake: Lake) -> None:
    lake.write_stream(PROMPTS, _batches(2), turn=_turn(), run_id="r1")
    version, files = lake.version(PROMPTS), _files(lake)
    lacking = (batch.drop_columns(["cluster"]) for batch in _batches(3))
    with pytest.raises(KeyError, match="cluster"):
        lake.write_stream(PROMPTS, lacking, turn=_turn(), run_id="r2")
    assert (lake.version(PROMPTS), _files(lake)) == (version, files)


def test_a_row_that_lacks_a_column_has_a_null_there(lake: Lake) -> None:
    lake.write(PROMPTS, [{"query_id": "a", "task": "t"}], turn=_turn(), run_id="r")
    (row,) = lake.read(PROMPTS).to_pylist()
    assert row["query_id"] == "a" and row["messages"] is row["count"] is row["cluster"] is row["split"] is None


def test_a_stream_needs_every_column_of_the_partition(lake: Lake) -> None:
    with pytest.raises(ValueError, match="shard"):
        lake.write_stream(REWARDS, iter([]), turn=_turn(), run_id="r")
    assert lake.version(REWARDS) is None


def _scanned(lake: Lake, condition: str, *columns: str) -> list[tuple[Any, ...]]:
    names = list(columns) or ["query_id"]
    batches = list(lake.scan(PROMPTS, names, condition))
    assert all(batch.schema == pa.schema([PROMPTS.schema.field(name) for name in names]) for batch in batches)
    return sorted(tuple(row.values()) for batch in batches for row in batch.to_pylist())


def test_a_scan_gives_the_rows_for_which_its_condition_holds(lake: Lake) -> None:
    assert _scanned(lake, "flywheel = 'tickets'") == []
    for day in (20, 21):
        lake.write_stream(PROMPTS, _batches(3, count=day), turn=_turn(day), run_id="r")
    lake.write_stream(PROMPTS, _batches(1), turn=_turn(21, "else"), run_id="r")
    mine = f"flywheel = 'tickets' and turn <> '{_turn(20).key}'"
    assert _scanned(lake, mine) == [("q0",), ("q1",), ("q2",)]
    assert _scanned(lake, f"{mine} and query_id > 'q0' and count = 21", "count", "query_id") == [(21, "q1"), (21, "q2")]
    assert _scanned(lake, "flywheel = 'nobody'") == []


def test_a_scan_keeps_types_and_does_not_hold_all_rows_at_once(lake: Lake) -> None:
    lake.write_stream(PROMPTS, _batches(20_000, 20_000), turn=_turn(), run_id="r")
    batches = list(lake.scan(PROMPTS, ["messages", "query_id"], "true"))
    assert sum(map(len, batches)) == 40_000 and max(map(len, batches)) < 20_000
    assert batches[0].column("messages")[0].as_py() == [{"role": "user", "content": "hi"}]


def test_a_scan_that_cannot_be_done_names_the_table(lake: Lake) -> None:
    lake.write(PROMPTS, _prompts("a"), turn=_turn(), run_id="r")
    with pytest.raises(LakeError, match="cannot read.*prompts"):
        list(lake.scan(PROMPTS, ["query_id"], "no_such_column = 1"))
    for file in _files(lake):
        file.unlink()
    with pytest.raises(LakeError, match="cannot read.*prompts"):
        list(lake.scan(PROMPTS, ["query_id"], "true"))


def test_a_compaction_while_a_write_commits_leaves_no_old_row(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    uri, open_table = lake.uri(PROMPTS), lake_module.DeltaTable
    for number in range(3):  # three files in one partition
        row = {"flywheel": "tickets", "turn": _turn().key, "run_id": "old", "query_id": f"p{number}"}
        lake._create(PROMPTS)
        write_deltalake(uri, pa.Table.from_pylist([row], schema=PROMPTS.schema), mode="append")
    compacted: list[int] = []

    class Raced:
        """A table that another process compacts between its opening and the commit, once."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._opened = open_table(*args, **kwargs)

        def create_write_transaction(self, *args: Any, **kwargs: Any) -> None:
            if not compacted:
                compacted.append(1)
                open_table(uri).optimize.compact()
            self._opened.create_write_transaction(*args, **kwargs)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._opened, name)

    monkeypatch.setattr(lake_module, "DeltaTable", Raced)
    lake.write(PROMPTS, [{"query_id": "new"}], turn=_turn(), run_id="new")
    monkeypatch.undo()
    assert compacted and lake.read(PROMPTS).column("query_id").to_pylist() == ["new"]
