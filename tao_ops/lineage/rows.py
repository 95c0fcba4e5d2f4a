"""Rows of a turn as they were when something was made of them, and a digest by which they are known again."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from tao_ops.errors import LakeError
from tao_ops.lake import Lake
from tao_ops.tables import Table

ATTEMPT = ("run_id",)
"""Columns that name the attempt, and say nothing of what it made."""
_BATCH = 4096
_MODULUS = 1 << 256


class RowsDigest:
    """A digest of rows in any order: the sum of each row's SHA-256, so that they need not be held nor sorted.

    >>> one, other = RowsDigest(), RowsDigest()
    >>> one.add([{"a": 1}, {"a": 2}]); other.add([{"a": 2}]); other.add([{"a": 1}])
    >>> one.value == other.value, one.rows
    (True, 2)
    """

    def __init__(self) -> None:
        self.rows, self._sum = 0, 0

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take more rows in; the names of their columns count, but for those that hold nothing.

        A release that adds a column, empty for what is there, so leaves the digest as it was.
        """
        for row in rows:
            self.rows += 1
            held = {name: _plain(value) for name, value in row.items() if value is not None}
            told = json.dumps(held, sort_keys=True, default=_written)
            self._sum = (self._sum + int.from_bytes(hashlib.sha256(told.encode()).digest(), "big")) % _MODULUS

    @property
    def value(self) -> str:
        """First 32 hex digits of the SHA-256 over the sum and the number of rows."""
        return hashlib.sha256(f"{self.rows}:{self._sum:064x}".encode()).hexdigest()[:32]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as a manifest holds them."""
        return {"rows": self.rows, "digest": self.value}


def digest(rows: pa.Table, without: Sequence[str] = ATTEMPT) -> dict[str, Any]:
    """``rows`` and ``digest`` of a table, batch by batch, without the columns that name the attempt."""
    found = RowsDigest()
    kept = rows.select([name for name in rows.column_names if name not in without])
    for batch in kept.to_batches(max_chunksize=_BATCH):
        found.add(batch.to_pylist())
    return found.as_dict()


def stored(
    lake: Lake, table: Table, version: int | None, told: Mapping[str, Any] | None, *, flywheel: str, turn: str
) -> pa.Table | None:
    """A turn's rows as they were recorded; None where they can't be had any more.

    A table's older versions are deleted after some days. Where the newest one still holds the very same rows, as it
    does unless they were replaced, expired or erased, these are taken.

    Args:
        told: their :func:`digest` then; without it, what the recorded version holds is believed, and no other.
    """
    for at in (version, None):
        if at is None and told is None:
            return None
        try:
            rows = lake.read(table, version=at, flywheel=flywheel, turn=turn)
        except LakeError:
            continue
        if told is None or digest(rows) == {name: told[name] for name in ("rows", "digest")}:
            return rows
    return None


def _plain(value: Any) -> Any:
    # A map's entries come as pairs, in whatever order they were written.
    pairs = isinstance(value, list) and value and all(isinstance(one, tuple) for one in value)
    return sorted(value) if pairs else value


def _written(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"no digest of a {type(value).__name__}")
