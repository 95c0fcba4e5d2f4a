"""A table's file is whole or not there, and tells of its rows their number alone."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tao_ops import lake_files
from tao_ops.lake_files import remove_file, write_file
from tao_ops.tables import QUARANTINE, QUERIES

VALUES = {"flywheel": "shop", "turn": "2026-11-21T00:00Z", "stage": "ingest", "run_id": "r"}
FOLDER = "flywheel=shop/turn=2026-11-21T00-00Z/stage=ingest"


def _batch(*positions: str) -> pa.RecordBatch:
    rows = [{**VALUES, "source": "web", "position": at, "reason": "not_json", "excerpt": "secret"} for at in positions]
    return pa.RecordBatch.from_pylist(rows, schema=QUARANTINE.schema)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_file_holds_the_rows_without_the_columns_of_its_partition(tmp_path: Path) -> None:
    action = write_file(str(tmp_path), QUARANTINE, iter([_batch("a:1", "a:2"), _batch(), _batch("a:3")]), VALUES)
    assert action is not None and action.path.startswith(f"{FOLDER}/part-") and action.path.endswith(".parquet")
    found = pq.read_table(tmp_path / action.path, partitioning=None)
    assert found.column("position").to_pylist() == ["a:1", "a:2", "a:3"]
    assert not {"flywheel", "turn", "stage"} & set(found.schema.names) and "run_id" in found.schema.names
    assert action.size == (tmp_path / action.path).stat().st_size
    assert action.partition_values == {name: VALUES[name] for name in ("flywheel", "turn", "stage")}


def test_the_log_is_told_the_number_of_rows_and_none_of_their_values(tmp_path: Path) -> None:
    action = write_file(str(tmp_path), QUARANTINE, iter([_batch("a:1", "a:2")]), VALUES)
    assert action is not None and json.loads(action.stats) == {"numRecords": 2}


def test_of_times_the_log_is_told_the_first_and_the_last(tmp_path: Path) -> None:
    values = {"flywheel": "shop", "turn": "2026-11-21T00:00Z", "run_id": "r"}
    times = [datetime(2026, 11, 21, hour, 30, 0, 250_001, tzinfo=UTC) for hour in (9, 7, 11)]
    rows = [{**values, "request_id": f"r{n}", "user_hash": "secret", "received_at": at} for n, at in enumerate(times)]
    batches = [pa.RecordBatch.from_pylist([row], schema=QUERIES.schema) for row in [*rows, {**values}]]
    action = write_file(str(tmp_path), QUERIES, iter(batches), values)
    assert action is not None and json.loads(action.stats) == {
        "numRecords": 4,
        "minValues": {"received_at": "2026-11-21T07:30:00.250001Z"},
        "maxValues": {"received_at": "2026-11-21T11:30:00.250001Z"},
        "nullCount": {"received_at": 1},
    }
    timeless = write_file(str(tmp_path), QUERIES, iter(batches[-1:]), values)
    assert timeless is not None and json.loads(timeless.stats) == {"numRecords": 1}


def test_two_writes_of_the_same_partition_are_two_files(tmp_path: Path) -> None:
    for _ in range(2):
        write_file(str(tmp_path), QUARANTINE, iter([_batch("a:1")]), VALUES)
    assert len(_files(tmp_path)) == 2


@pytest.mark.parametrize("batches", [[], [_batch()], [_batch(), _batch()]])
def test_no_rows_make_no_file(tmp_path: Path, batches: list[pa.RecordBatch]) -> None:
    assert write_file(str(tmp_path), QUARANTINE, iter(batches), VALUES) is None
    assert _files(tmp_path) == []


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("before", [0, 2])
def test_a_stream_that_breaks_off_leaves_nothing(tmp_path: Path, before: int, error: type[BaseException]) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        for number in range(before):
            yield _batch(f"a:{number}")
        raise error

    with pytest.raises(error):
        write_file(str(tmp_path), QUARANTINE, broken(), VALUES)
    assert _files(tmp_path) == []


def test_a_disk_that_is_full_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(pq.ParquetWriter):  # type: ignore[misc]
        def write_batch(self, *_: Any, **__: Any) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(lake_files.pq, "ParquetWriter", Full)
    with pytest.raises(OSError, match="No space left"):
        write_file(str(tmp_path), QUARANTINE, iter([_batch("a:1")]), VALUES)
    assert _files(tmp_path) == []


def test_a_value_that_is_no_name_of_a_folder_stays_in_the_table(tmp_path: Path) -> None:
    values = {**VALUES, "stage": "../../etc/x y"}
    action = write_file(str(tmp_path / "lake"), QUARANTINE, iter([_batch("a:1")]), values)
    assert action is not None and action.partition_values["stage"] == "../../etc/x y"
    assert [path.is_relative_to(tmp_path / "lake") for path in _files(tmp_path)] == [True]
    assert ".." not in Path(action.path).parts


def test_a_file_that_is_gone_already_is_no_error(tmp_path: Path) -> None:
    action = write_file(str(tmp_path), QUARANTINE, iter([_batch("a:1")]), VALUES)
    assert action is not None
    for _ in range(2):
        remove_file(str(tmp_path), action.path)
    assert _files(tmp_path) == []
