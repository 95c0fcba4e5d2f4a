"""Rows on disk until they are written: a stage may have millions of them, and memory is bounded."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

_ROWS = 8192


class Spool:
    """Rows of one schema in a file, added one by one, read back once in their order.

    Args:
        folder: this spool's alone; what a killed process left there is removed.
    """

    def __init__(self, schema: pa.Schema, folder: Path) -> None:
        self._schema, self._rows, self.count = schema, list[Mapping[str, Any]](), 0
        self._folder, self._path = folder, folder / "rows.arrow"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._writer = pa.ipc.new_stream(str(self._path), schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        shutil.rmtree(self._folder)

    def add(self, row: Mapping[str, Any]) -> None:
        """Add one row; a column that it lacks is null."""
        self._rows.append(row)
        self.count += 1
        if len(self._rows) >= _ROWS:
            self._flush()

    def read(self) -> Iterator[pa.RecordBatch]:
        """All rows; none can be added after."""
        self._flush()
        self._writer.close()
        with pa.OSFile(str(self._path)) as file, pa.ipc.open_stream(file) as reader:
            yield from reader

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_batch(pa.RecordBatch.from_pylist(self._rows, schema=self._schema))
            self._rows = []
