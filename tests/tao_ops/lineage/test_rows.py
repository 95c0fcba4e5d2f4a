"""Rows are known again by their digest, in whatever order and by whatever attempt they were written."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from tao_ops.lake import open_lake
from tao_ops.lineage.rows import digest, stored
from tao_ops.tables import PROMPTS, QUERIES, REWARDS
from tao_ops.turn import Turn

TURN = Turn("shop", datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC))
WHERE: dict[str, Any] = {"flywheel": "shop", "turn": TURN.key}


def _prompts(*ids: str, count: int = 1) -> list[dict[str, Any]]:
    return [{"query_id": i, "task": "t", "messages": [{"role": "user", "content": i}], "count": count} for i in ids]


def test_order_and_attempt_do_not_count_and_values_do() -> None:
    def made(rows: list[dict[str, Any]], run_id: str = "r") -> dict[str, Any]:
        return digest(pa.Table.from_pylist([{**row, "run_id": run_id} for row in rows], schema=PROMPTS.schema))

    one = made(_prompts("a", "b"))
    assert one["rows"] == 2 and made(_prompts("b", "a"), "other") == one
    assert made(_prompts("a", "b", count=2)) != one and made(_prompts("a")) != one
    assert made(_prompts("a", "a")) != made(_prompts("b", "b"))  # equal rows do not cancel out


def test_maps_times_and_bytes_have_one_form() -> None:
    rewards = [
        {"response_id": "a", "scores": [("x", 1.0), ("y", 0.5)]},
        {"response_id": "a", "scores": [("y", 0.5), ("x", 1.0)]},
    ]
    one, other = (digest(pa.Table.from_pylist([row], schema=REWARDS.schema)) for row in rewards)
    assert one == other
    at = datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert digest(pa.Table.from_pylist([{"query_id": "a", "received_at": at}], schema=QUERIES.schema))["rows"] == 1


def test_an_added_column_that_holds_nothing_leaves_the_digest_as_it_was() -> None:
    before = pa.table({"a": [1, 2]})
    assert digest(before.append_column("b", pa.nulls(2, pa.string()))) == digest(before)


def test_rows_that_were_overwritten_are_read_at_their_version_or_by_their_digest(tmp_path: Path) -> None:
    lake = open_lake(str(tmp_path / "lake"))
    first = lake.write(PROMPTS, _prompts("a", "b"), turn=TURN, run_id="r")
    told = digest(lake.read(PROMPTS))
    later = replace(TURN, start=datetime(2026, 11, 22, tzinfo=UTC))
    lake.write(PROMPTS, _prompts("c"), turn=later, run_id="r")
    assert _ids(stored(lake, PROMPTS, first, told, **WHERE)) == ["a", "b"]
    # The version is gone, the rows are not.
    assert _ids(stored(lake, PROMPTS, 99, told, **WHERE)) == ["a", "b"]
    lake.write(PROMPTS, _prompts("z"), turn=TURN, run_id="again")
    assert _ids(stored(lake, PROMPTS, first, told, **WHERE)) == ["a", "b"]
    assert stored(lake, PROMPTS, 99, told, **WHERE) is None
    assert stored(lake, PROMPTS, 99, None, **WHERE) is None


def _ids(found: pa.Table | None) -> list[str]:
    assert found is not None
    return sorted(found.column("query_id").to_pylist())
