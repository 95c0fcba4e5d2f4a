"""Rows of Parquet files and Delta tables, streamed, without those outside a window."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tao_ops.errors import DataError
from tao_ops.sources.fields import iso_time
from tao_ops.sources.files import LogFile, find, opened
from tao_ops.sources.records import BATCH_ROWS, Window
from tao_ops.sources.store_access import delta_options
from tao_ops.sources.stores import filesystem_of, matching, reaching

_INSTANT = pa.timestamp("us", tz="UTC")
_LAST_SECOND = 253_402_300_800
"""The seconds since 1970 at which the year 10000 begins."""

_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""A number from the first on counts parts of a second, so many per second; a lower one counts seconds. So read, each
unit covers every time from 1973 to the year 5138."""


@dataclass(frozen=True)
class Columns:
    """What is read of a table.

    Attributes:
        time: the column that holds each row's time.
        others: further columns.
    """

    time: str
    others: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """All of them, each once."""
        return list(dict.fromkeys((self.time, *self.others)))


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        position: ``file:row 7``, counted from 1; of a Delta table ``table:row <time>, 1``: by its time.
        received_at: inside the window; None where the table holds no time that can be read.
        values: by column; None where a text is not UTF-8.
    """

    position: str
    received_at: datetime | None
    values: dict[str, Any] | None


Choose = Callable[[str, pa.Schema], Columns]
"""Says what to read of a file or table of this schema; raises a DataError where it holds other columns."""


def scan(
    path: str, choose: Choose, window: Window, connection: str | None = None
) -> Iterator[tuple[str, Iterator[Row]]]:
    """Each file that ``path`` matches, or the Delta table that it names, with its rows.

    A folder stands for the Parquet files in it, at any depth.

    Args:
        connection: the Connection that signs in to the store; None: the account of this process does.

    Raises:
        ConfigError: the Connection is not known, or holds what is not followed.
        DataError: nothing matches, it cannot be read, is no Parquet, or its times have no zone.
    """
    table = _delta_table(path, connection)
    if table is not None:
        yield f"{path}@{table.version()}", _delta_rows(path, table, choose, window)
        return
    for file in find(_files(path), window, "UTC", connection=connection)[0]:
        yield file.name, _parquet_rows(file, choose, window)


def _has_wildcard(path: str) -> bool:
    return any(character in path for character in "*?[{")


def _files(path: str) -> str:
    return path if _has_wildcard(path) or path.endswith((".parquet", ".pq")) else f"{path.rstrip('/')}/**/*.parquet"


def _delta_table(path: str, connection: str | None) -> Any:
    """The Delta table at ``path``, or None where there is none."""
    if _has_wildcard(path) or path.endswith((".parquet", ".pq")) or not _has_log(path, connection):
        return None
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    options = delta_options(path, connection)
    try:
        return DeltaTable(path, storage_options=options or None)
    except (DeltaError, OSError) as error:
        raise _unreadable(path, error) from None


def _has_log(path: str, connection: str | None) -> bool:
    # A store that does not answer must not pass for one without a log: rows that were deleted are still in the files.
    with reaching(path):
        filesystem = filesystem_of(path, connection)
        log = filesystem._strip_protocol(f"{path.rstrip('/')}/_delta_log")
        return any(True for _ in matching(filesystem, f"{log}/*.json"))


def _unreadable(where: str, error: Exception) -> DataError:
    said = " ".join((str(error) or type(error).__name__).split())[:300]
    return DataError(f"cannot be read: {said}", where=where, mend="see that it is there, whole, and may be read")


def _delta_rows(path: str, table: Any, choose: Choose, window: Window) -> Iterator[Row]:
    schema = pa.schema(table.schema().to_arrow())
    columns = choose(path, schema)
    kind = _time_kind(path, schema.field(columns.time))
    chosen = ", ".join(_quoted(name) for name in columns.names)
    inside = ""
    if pa.types.is_timestamp(kind):
        name, (start, end) = _quoted(columns.time), (_sql_time(edge) for edge in (window.start, window.end))
        inside = f" where {name} is null or ({name} >= {start} and {name} < {end})"
    asked = pa.schema([schema.field(name) for name in columns.names])
    parts = _found(path, table, f"select {chosen} from rows{inside}", asked)  # names quoted, times our own
    yield from _timed(path, _rows(path, parts, columns, window))


def _found(path: str, table: Any, query: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    from deltalake import QueryBuilder

    try:
        # One partition: rows come in the order of the table's files, the same at each reading.
        engine = QueryBuilder({"datafusion.execution.target_partitions": "1"}).register("rows", table)
        for part in engine.execute(query):
            yield pa.record_batch(part).cast(schema)  # texts come as views, which little can be done with
    except Exception as error:  # the engine raises nothing narrower
        raise _unreadable(path, error) from None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _sql_time(time: datetime) -> str:
    return f"""arrow_cast('{time.astimezone(UTC).isoformat()}', 'Timestamp(Microsecond, Some("UTC"))')"""


def _parquet_rows(file: LogFile, choose: Choose, window: Window) -> Iterator[Row]:
    import pyarrow.parquet as pq

    with opened(file) as raw:
        try:
            parquet = pq.ParquetFile(raw)
            columns = choose(file.name, parquet.schema_arrow)
            _time_kind(file.name, parquet.schema_arrow.field(columns.time))
            first = 1
            for number in range(parquet.num_row_groups):
                group = parquet.metadata.row_group(number)
                if not _outside(group, columns.time, window):
                    parts = parquet.iter_batches(BATCH_ROWS, row_groups=[number], columns=columns.names)
                    yield from _rows(file.name, parts, columns, window, first)
                first += group.num_rows
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(file.name, error) from None


def _outside(group: Any, name: str, window: Window) -> bool:
    """Whether a row group's own statistics say that it holds no time of the window."""
    chunks = (group.column(number) for number in range(group.num_columns))
    held = next((chunk.statistics for chunk in chunks if chunk.path_in_schema == name), None)
    if held is None or not held.has_min_max or held.null_count != 0:
        return False
    try:
        low, high = held.min, held.max
    except (ValueError, OverflowError):  # beyond what Python can hold: a text that is not UTF-8, the year 10000
        return False
    if not (isinstance(low, datetime) and isinstance(high, datetime) and low.tzinfo and high.tzinfo):
        return False
    return high < window.start or low >= window.end


def _time_kind(where: str, field: pa.Field) -> pa.DataType:
    """The type of the column of times.

    Raises:
        DataError: it is none of those that name an instant.
    """
    kind = field.type
    if pa.types.is_timestamp(kind) and kind.tz is None:
        raise DataError(
            f"the times in '{field.name}' have no zone",
            where=where,
            mend=f"write it as a timestamp with a zone: cast({field.name} as timestamp with time zone), in UTC",
        )
    known = (pa.types.is_timestamp, pa.types.is_integer, pa.types.is_floating, is_text)
    if not any(is_known(kind) for is_known in known):
        raise DataError(
            f"'{field.name}' holds {kind}, no time",
            where=where,
            mend="name a column of timestamps with a zone, of ISO 8601 texts, or of seconds or milliseconds since 1970",
        )
    return kind


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds texts."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return any(of(kind) for of in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _rows(
    file: str, parts: Iterator[pa.RecordBatch], columns: Columns, window: Window, first: int = 1
) -> Iterator[Row]:
    for part in parts:
        times = _instants(part.column(columns.time))
        unread = pc.is_null(times)
        inside = pc.and_(pc.greater_equal(times, _edge(window.start)), pc.less(times, _edge(window.end)))
        taken = pc.indices_nonzero(pc.or_kleene(unread, inside))
        kept, instants = part.take(taken), times.take(taken).to_pylist()
        if pa.types.is_timestamp(kept.column(columns.time).type):
            kept = kept.drop_columns([columns.time])
        for index, instant, values in zip(taken.to_pylist(), instants, _values(kept), strict=True):
            at = None if instant is None else instant.replace(tzinfo=UTC)
            yield Row(f"{file}:row {first + index}", at, values)
        first += part.num_rows


def _timed(path: str, rows: Iterator[Row]) -> Iterator[Row]:
    """Rows named by their time: which of a table's rows is the nth differs from window to window."""
    seen: Counter[datetime | None] = Counter()
    for row in rows:
        seen[row.received_at] += 1
        time = "without a time" if row.received_at is None else row.received_at.isoformat()
        yield replace(row, position=f"{path}:row {time}, {seen[row.received_at]}")


def _edge(time: datetime) -> pa.Scalar:
    return pa.scalar(time.astimezone(UTC), _INSTANT)


def _instants(column: pa.Array) -> pa.Array:
    """A column of times as instants; null where a value is none."""
    if pa.types.is_timestamp(column.type):
        return pc.cast(column, _INSTANT, safe=False)
    if is_text(column.type):
        return pa.array([iso_time(text) for text in _texts(column)], _INSTANT)
    seconds = pc.cast(column, pa.float64(), safe=False)
    for least, per_second in _UNITS:
        seconds = pc.if_else(pc.greater_equal(seconds, least), pc.divide(seconds, per_second), seconds)
    known = pc.and_(pc.greater_equal(seconds, 0.0), pc.less(seconds, float(_LAST_SECOND)))
    micros = pc.round(pc.multiply(pc.if_else(known, seconds, None), 1e6))
    return pc.cast(pc.cast(micros, pa.int64()), _INSTANT)


def _texts(column: pa.Array) -> list[str | None]:
    found = pc.cast(pc.cast(column, pa.large_string()), pa.large_binary()).to_pylist()
    return [None if value is None else value.decode("utf-8", errors="replace") for value in found]


def _values(part: pa.RecordBatch) -> list[dict[str, Any] | None]:
    """The rows' values; those of a row are None where it holds a text that is not UTF-8."""
    try:
        return list(part.to_pylist())
    except UnicodeDecodeError:
        return [_value(part.slice(number, 1)) for number in range(part.num_rows)]


def _value(one: pa.RecordBatch) -> dict[str, Any] | None:
    try:
        values: dict[str, Any] = one.to_pylist()[0]
    except UnicodeDecodeError:
        return None
    return values
