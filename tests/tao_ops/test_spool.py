"""Rows wait on disk, come back in their order, and leave nothing behind."""

from pathlib import Path

import pyarrow as pa
import pytest

from tao_ops.spool import Spool

SCHEMA = pa.schema([pa.field("n", pa.int64()), pa.field("said", pa.string())])


@pytest.mark.parametrize("count", [0, 1, 8191, 8192, 8193, 20_000])
def test_rows_come_back_in_their_order(tmp_path: Path, count: int) -> None:
    with Spool(SCHEMA, tmp_path / "spool") as spool:
        for number in range(count):
            spool.add({"n": number, "said": f"row {number}"})
        assert spool.count == count
        batches = list(spool.read())
        assert all(batch.schema == SCHEMA and len(batch) <= 8192 for batch in batches)
        rows = [row for batch in batches for row in batch.to_pylist()]
        assert rows == [{"n": number, "said": f"row {number}"} for number in range(count)]
    assert not (tmp_path / "spool").exists()


def test_a_column_that_a_row_lacks_is_null(tmp_path: Path) -> None:
    with Spool(SCHEMA, tmp_path / "spool") as spool:
        spool.add({"said": "é \n"})
        spool.add({"n": 2})
        assert [row for batch in spool.read() for row in batch.to_pylist()] == [
            {"n": None, "said": "é \n"},
            {"n": 2, "said": None},
        ]


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    with Spool(SCHEMA, tmp_path / "spool") as spool:
        before = pa.total_allocated_bytes()
        for number in range(50_000):
            spool.add({"n": number, "said": "x" * 200})
        assert pa.total_allocated_bytes() - before < 4 << 20
        assert sum(file.stat().st_size for file in (tmp_path / "spool").iterdir()) > 8 << 20


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    (folder / "deep").mkdir(parents=True)
    (folder / "rows.arrow").write_bytes(b"half a row")
    with Spool(SCHEMA, folder) as spool:
        spool.add({"n": 1, "said": "a"})
        assert [row["n"] for batch in spool.read() for row in batch.to_pylist()] == [1]


def test_an_error_goes_through_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Spool(SCHEMA, tmp_path / "spool") as spool:
        spool.add({"n": 1, "said": "a"})
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
