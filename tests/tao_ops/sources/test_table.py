"""Rows of Parquet files and Delta tables become queries, by the columns that the YAML names."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from tao_ops.config import SourceConfig
from tao_ops.errors import DataError
from tao_ops.sources.records import LOGGED, Batch, BrokenLine, Window
from tao_ops.sources.table import read
from tao_ops.tables import Reason

DAY = datetime(2026, 11, 21, tzinfo=UTC)
WINDOW = Window(DAY, DAY + timedelta(days=1))
NOON = DAY + timedelta(hours=12)
INSTANT = pa.timestamp("us", tz="UTC")


def _read(path: Path | str, columns: dict[str, str], **source: Any) -> list[Batch]:
    config = SourceConfig(format="table", path="x", columns=columns, **source)
    return list(read(config, str(path), WINDOW))


def _rows(batches: list[Batch]) -> list[dict[str, Any]]:
    assert all(batch.queries.schema == LOGGED for batch in batches)
    return [row for batch in batches for row in batch.queries.to_pylist()]


def _broken(batches: list[Batch]) -> list[BrokenLine]:
    return [line for batch in batches for line in batch.broken]


def _times(*times: datetime | None) -> pa.Array:
    return pa.array(times, INSTANT)


TEXTS = {"received_at": "at", "text": "said"}


def _said(folder: Path, times: pa.Array, name: str = "a.parquet", **more: Any) -> Path:
    texts = [f"Where is order {number}?" for number in range(len(times))]
    pq.write_table(pa.table({"at": times, "said": texts, **more}), folder / name)
    return folder / name


def test_every_field_is_read_from_the_column_that_is_named(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is my order?"}]
    fields = ("request_id", "task", "model", "route", "user", "model_version", "response", "corrected")
    columns = {field: f"my_{field}" for field in fields}
    table = {column: [field] for field, column in columns.items()}
    table |= {"at": _times(NOON), "m": [messages], "s": ["Be kind."], "t": [["beta", "eu"]], "f": [False], "other": [1]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    columns |= {"received_at": "at", "messages": "m", "system": "s", "tags": "t", "feedback": "f"}
    (row,) = _rows(_read(tmp_path / "*.parquet", columns))
    assert row == {field: field for field in fields} | {
        "position": f"{tmp_path}/a.parquet:row 1",
        "received_at": NOON,
        "messages": [{"role": "user", "content": "Where is my order?"}],
        "system": "Be kind.\n\nBe brief.",
        "tags": ["beta", "eu"],
        "feedback": "down",
    }


def test_messages_may_be_json_and_ids_numbers(tmp_path: Path) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "Where is my order?"}]})
    table = {"at": _times(NOON), "m": [body], "id": [7], "u": [8], "t": ['["beta"]'], "r": ['{"choices": []}']}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    columns = {"received_at": "at", "messages": "m", "request_id": "id", "user": "u", "tags": "t", "response": "r"}
    (row,) = _rows(_read(tmp_path, columns))
    assert (row["request_id"], row["user"], row["tags"], row["response"]) == ("7", "8", ["beta"], None)
    assert row["messages"][0]["content"] == "Where is my order?"


def test_a_text_stands_in_where_messages_are_null(tmp_path: Path) -> None:
    messages = pa.array([None], pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])))
    path = _said(tmp_path, _times(NOON), m=messages)
    (row,) = _rows(_read(path, TEXTS | {"messages": "m"}))
    assert row["messages"] == [{"role": "user", "content": "Where is order 0?"}]


@pytest.mark.parametrize(
    "times",
    [
        pa.array([NOON, WINDOW.end], pa.timestamp("ns", tz="Europe/Berlin")),
        pa.array([NOON.isoformat(), WINDOW.end.isoformat()]),
        pa.array([int(NOON.timestamp()), int(WINDOW.end.timestamp())]),
        pa.array([int(NOON.timestamp()) * 1000, int(WINDOW.end.timestamp()) * 1000]),
        pa.array([int(NOON.timestamp()) * 1_000_000, int(WINDOW.end.timestamp()) * 1_000_000]),
        pa.array([int(NOON.timestamp()) * 1_000_000_000, int(WINDOW.end.timestamp()) * 1_000_000_000]),
        pa.array([NOON.timestamp(), WINDOW.end.timestamp()]),
    ],
    ids=["timestamp", "iso", "seconds", "milli", "micro", "nano", "float"],
)
def test_a_time_is_a_timestamp_a_text_or_a_number(tmp_path: Path, times: pa.Array) -> None:
    (row,) = _rows(_read(_said(tmp_path, times), TEXTS))
    assert row["received_at"] == NOON and row["position"].endswith("a.parquet:row 1")


def test_a_milliseconds_fraction_is_kept(tmp_path: Path) -> None:
    at = NOON + timedelta(milliseconds=123)
    (row,) = _rows(_read(_said(tmp_path, pa.array([int(at.timestamp() * 1000)])), TEXTS))
    assert row["received_at"] == at


def test_rows_outside_the_window_are_left_out_and_keep_the_others_numbers(tmp_path: Path) -> None:
    times = _times(DAY - timedelta(microseconds=1), DAY, WINDOW.end - timedelta(microseconds=1), WINDOW.end)
    found = _read(_said(tmp_path, times), TEXTS)
    assert [row["position"].split(":")[-1] for row in _rows(found)] == ["row 2", "row 3"] and not _broken(found)


def test_row_groups_outside_the_window_are_counted_but_not_read(tmp_path: Path) -> None:
    early, late = [DAY - timedelta(days=2)] * 3, [NOON] * 2
    table = pa.table({"at": _times(*early, *late), "said": ["Where is my order?"] * 5})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=3)
    rows = _rows(_read(tmp_path, TEXTS))
    assert [row["position"].split(":")[-1] for row in rows] == ["row 4", "row 5"]


def test_bad_rows_are_broken_with_their_row_and_reason(tmp_path: Path) -> None:
    said = pa.array([b"fine", None, b"\xff\xfe", b"  ", b"nul \0"]).cast(pa.string(), safe=False)
    table = pa.table({"at": _times(NOON, NOON, NOON, NOON, NOON), "said": said, "u": ["u1"] * 5})
    pq.write_table(table, tmp_path / "a.parquet")
    found = _read(tmp_path, TEXTS | {"user": "u"})
    assert [row["messages"][0]["content"] for row in _rows(found)] == ["fine"]
    reasons = [(line.position.split(":")[-1], line.reason) for line in _broken(found)]
    assert reasons == [
        ("row 2", Reason.NO_MESSAGES),
        ("row 3", Reason.NOT_TEXT),
        ("row 4", Reason.NO_MESSAGES),
        ("row 5", Reason.NOT_TEXT),
    ]
    assert [line.user for line in _broken(found)] == ["u1", None, "u1", "u1"]


@pytest.mark.parametrize(
    "times",
    [
        pa.array([None, NOON], INSTANT),
        pa.array(["2026-11-21T12:00:00", NOON.isoformat()]),
        pa.array([float("nan"), NOON.timestamp()]),
        pa.array([-(2**62), int(NOON.timestamp())]),
        pa.array([float("inf"), NOON.timestamp()]),
    ],
    ids=["null", "no zone", "nan", "huge", "infinite"],
)
def test_a_row_whose_time_cannot_be_read_is_broken(tmp_path: Path, times: pa.Array) -> None:
    found = _read(_said(tmp_path, times), TEXTS)
    assert len(_rows(found)) == 1
    (broken,) = _broken(found)
    assert broken.reason is Reason.NO_TIME and broken.position.endswith("row 1")


def test_times_that_are_no_utf8_are_no_times(tmp_path: Path) -> None:
    times = pa.array([b"\xff", NOON.isoformat().encode()]).cast(pa.string(), safe=False)
    found = _read(_said(tmp_path, times), TEXTS)
    assert len(_rows(found)) == 1 and len(_broken(found)) == 1


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            {"received_at": "when", "text": "said"},
            r"no column 'when'; there are: at, said, n .*a\.parquet.*columns\.received_at",
        ),
        ({"received_at": "at", "text": "n"}, r"'n' holds double, which is no 'text' .*a\.parquet"),
        ({"received_at": "at", "messages": "tags"}, r"no column 'tags'"),
        ({"received_at": "bare", "text": "said"}, r"times in 'bare' have no zone .*a\.parquet.*time zone"),
        ({"received_at": "day", "text": "said"}, r"'day' holds date32.*no time"),
    ],
)
def test_a_table_with_other_columns_is_one_clear_error(tmp_path: Path, columns: dict[str, str], words: str) -> None:
    more: dict[str, Any] = {"n": [1.5]}
    if set(columns.values()) & {"bare", "day"}:
        more |= {"bare": pa.array([NOON.replace(tzinfo=None)]), "day": pa.array([NOON.date()])}
    path = _said(tmp_path, _times(NOON), **more)
    with pytest.raises(DataError, match=words):
        _read(path, columns)


def test_what_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no, it is not")
    with pytest.raises(DataError, match=r"cannot be read: .*a\.parquet"):
        _read(tmp_path, TEXTS)


def test_a_place_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone"):
        _read(tmp_path / "gone", TEXTS)


@pytest.fixture
def delta(tmp_path: Path) -> Iterator[Path]:
    """Three days in two commits, one row of them deleted since."""
    path = tmp_path / "logs"
    for first in (0, 3):
        times = [DAY + timedelta(days=number - 1, hours=12) for number in range(3)]
        texts = [f"Where is order {first + number}?" for number in range(3)]
        messages = [[{"role": "user", "content": text}] for text in texts]
        write_deltalake(path, pa.table({"at": _times(*times), "said": texts, "m": messages}), mode="append")
    DeltaTable(path).delete("said = 'Where is order 4?'")
    yield path


def test_a_delta_table_is_read_in_the_window_without_what_was_deleted(delta: Path) -> None:
    (row,) = _rows(_read(delta, TEXTS | {"messages": "m"}))
    assert row["messages"] == [{"role": "user", "content": "Where is order 1?"}]
    assert (row["received_at"], row["position"]) == (NOON, f"{delta}:row 2026-11-21T12:00:00+00:00, 1")


def test_a_delta_table_is_read_by_any_kind_of_time(tmp_path: Path) -> None:
    path = str(tmp_path / "logs")
    days = [DAY - timedelta(days=1), NOON, WINDOW.end]
    said = [f"Where is order {number}?" for number in range(3)]
    write_deltalake(
        path, pa.table({"text": [t.isoformat() for t in days], "n": [int(t.timestamp()) for t in days], "said": said})
    )
    for column in ("text", "n"):
        (row,) = _rows(_read(path, {"received_at": column, "text": "said"}))
        assert row["received_at"] == NOON and row["messages"][0]["content"] == "Where is order 1?"


def test_a_delta_table_with_other_columns_or_times_without_a_zone_is_one_clear_error(
    tmp_path: Path, delta: Path
) -> None:
    with pytest.raises(DataError, match=r"no column 'when'; there are: at, said, m .*logs"):
        _read(delta, {"received_at": "when", "text": "said"})
    bare = tmp_path / "bare"
    write_deltalake(bare, pa.table({"at": pa.array([NOON.replace(tzinfo=None)]), "said": ["x"]}))
    with pytest.raises(DataError, match="have no zone"):
        _read(bare, TEXTS)


def test_a_delta_table_that_lost_a_file_is_named(delta: Path) -> None:
    for file in delta.glob("*.parquet"):
        file.unlink()
    with pytest.raises(DataError, match=r"cannot be read: .*logs"):
        _read(delta, TEXTS)
