"""Databricks inference tables, of both layouts, become queries."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from tao_ops.config import SourceConfig
from tao_ops.errors import DataError
from tao_ops.sources.inference_table import read
from tao_ops.sources.records import Batch, Window
from tao_ops.tables import Reason

DAY = datetime(2026, 11, 21, tzinfo=UTC)
NOON = DAY + timedelta(hours=12)
WINDOW = Window(DAY, DAY + timedelta(days=1))
REQUEST = {
    "model": "gpt-4o",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is my order?"}],
    "metadata": {"task": "tickets"},
}
RESPONSE = {"model": "gpt-4o-1", "choices": [{"message": {"content": "On its way."}}]}


def _row(**changes: Any) -> dict[str, Any]:
    row = {
        "request_date": NOON.date(),
        "databricks_request_id": "r1",
        "client_request_id": None,
        "request_time": NOON,
        "status_code": 200,
        "execution_duration_ms": 12,
        "request": json.dumps(REQUEST),
        "response": json.dumps(RESPONSE),
        "served_entity_id": "e1",
        "requester": "anna@example.org",
    }
    return {**row, **changes}


def _gateway(*rows: dict[str, Any]) -> pa.Table:
    types = {
        "request_date": pa.date32(),
        "request_time": pa.timestamp("us", tz="UTC"),
        "status_code": pa.int32(),
        "execution_duration_ms": pa.int64(),
    }
    return pa.Table.from_pylist(
        list(rows), schema=pa.schema([(name, types.get(name, pa.string())) for name in rows[0]])
    )


def _older(**changes: Any) -> pa.Table:
    row = {
        "databricks_request_id": "r1",
        "client_request_id": "c1",
        "date": NOON.date(),
        "timestamp_ms": int(NOON.timestamp() * 1000),
        "status_code": 200,
        "request": json.dumps({key: value for key, value in REQUEST.items() if key != "model"}),
        "response": json.dumps({"choices": RESPONSE["choices"]}),
        "request_metadata": [("endpoint_name", "support"), ("model_name", "shop"), ("model_version", "3")],
        **changes,
    }
    columns = {name: pa.array([value]) for name, value in row.items()}
    columns["request_metadata"] = pa.array([row["request_metadata"]], pa.map_(pa.string(), pa.string()))
    return pa.table(columns)


def _read(path: Path) -> Batch:
    (batch,) = read(SourceConfig(format="inference_table", path="x"), str(path), WINDOW)
    return batch


def test_the_layout_of_ai_gateway_is_read_whole(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "t", _gateway(_row(), _row(request_time=NOON - timedelta(days=1))))
    (row,) = _read(tmp_path / "t").queries.to_pylist()
    assert row == {
        "position": f"{tmp_path}/t:row 2026-11-21T12:00:00+00:00, 1",
        "request_id": "r1",
        "received_at": NOON,
        "messages": [{"role": "user", "content": "Where is my order?"}],
        "system": "Be brief.",
        "task": "tickets",
        "model": "gpt-4o",
        "route": None,
        "tags": [],
        "user": "anna@example.org",
        "model_version": "gpt-4o-1",
        "response": "On its way.",
        "feedback": None,
        "corrected": None,
    }


@pytest.mark.parametrize("as_delta", [False, True])
def test_the_older_layout_is_read_too(tmp_path: Path, as_delta: bool) -> None:
    if as_delta:
        write_deltalake(tmp_path, _older())
    else:
        pq.write_table(_older(), tmp_path / "a.parquet")
    (row,) = _read(tmp_path).queries.to_pylist()
    assert (row["request_id"], row["received_at"], row["route"]) == ("r1", NOON, "support")
    assert (row["model"], row["model_version"], row["response"]) == ("shop", "shop@3", "On its way.")


@pytest.mark.parametrize("status", [400, 429, 500])
def test_a_failed_call_is_a_query_without_a_response(tmp_path: Path, status: int) -> None:
    pq.write_table(_gateway(_row(status_code=status, response='{"error": "no"}')), tmp_path / "a.parquet")
    (row,) = _read(tmp_path).queries.to_pylist()
    assert row["messages"] and row["response"] is None and row["model_version"] is None


def test_rows_that_are_no_query_have_their_reason(tmp_path: Path) -> None:
    rows = [
        _row(request=None),
        _row(request="{broken"),
        _row(request='{"inputs": [1, 2]}'),
        _row(request_time=None),
        _row(request=json.dumps({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})),
    ]
    pq.write_table(_gateway(*rows), tmp_path / "a.parquet")
    found = _read(tmp_path)
    assert found.queries.num_rows == 0
    assert [line.reason for line in found.broken] == [
        Reason.NO_MESSAGES,
        Reason.NOT_JSON,
        Reason.NO_MESSAGES,
        Reason.NO_TIME,
        Reason.NON_TEXT_CONTENT,
    ]
    assert {line.user for line in found.broken} == {"anna@example.org"}


@pytest.mark.parametrize(
    ("missing", "words"),
    [("request", "no column 'request'"), ("request_time", "no column 'request_time or timestamp_ms'")],
)
def test_another_table_is_one_clear_error(tmp_path: Path, missing: str, words: str) -> None:
    pq.write_table(_gateway(_row()).drop_columns([missing]), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=rf"{words}.*there are: .*a\.parquet.*format: table"):
        _read(tmp_path)
