"""Files of a benchmark as rows of JSON, CSV or Parquet; every error names the file and the line."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tao_ops.answers import strict_json
from tao_ops.errors import ConfigError

_LONGEST_CELL = 1 << 27
Placed = tuple[str, dict[str, Any]]
"""Where a row stands, and its columns."""


def find(path: Path, names: Sequence[str], benchmark: str) -> Path:
    """The file itself, or the one of ``names`` in a folder.

    Raises:
        ConfigError: it is not there, or a folder holds several of them.
    """
    if path.is_file():
        return path
    found = [path / name for name in names if (path / name).is_file()]
    if len(found) > 1:
        several = " and ".join(file.name for file in found)
        raise ConfigError(f"benchmark {benchmark} has {several}", where=path, mend="name the file in its 'path'")
    return found[0] if found else path / names[0]  # reading it says that it is missing


def content(path: Path, benchmark: str) -> bytes:
    """The bytes of a file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"benchmark {benchmark} cannot be read: {error.strerror or error}",
            where=path,
            mend="mend the benchmark's 'path'",
        ) from None


def json_lines(path: Path, raw: bytes, shape: str) -> Iterator[Placed]:
    """The objects of a file with one on each line; blank lines are passed over.

    Raises:
        ConfigError: a line is no strict JSON object in UTF-8.
    """
    for number, line in enumerate(raw.split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            value = strict_json(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except ValueError as error:
            raise ConfigError(f"not JSON in UTF-8: {error}", where=where, mend=f"write {shape}") from None
        yield where, _object(value, where, shape)


def json_array(path: Path, raw: bytes, shape: str) -> Iterator[Placed]:
    """The objects of a file that is one JSON array.

    Raises:
        ConfigError: it is none, or an entry is no object.
    """
    try:
        value = strict_json(raw.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise ConfigError(f"not JSON: {error.msg}", where=f"{path}:{error.lineno}", mend=f"write {shape}") from None
    except ValueError as error:
        raise ConfigError(f"not JSON in UTF-8: {error}", where=path, mend=f"write {shape}") from None
    if not isinstance(value, list):
        raise ConfigError("not a JSON array", where=path, mend=f"write {shape}")
    for number, entry in enumerate(value, start=1):
        where = f"{path}: entry {number}"
        yield where, _object(entry, where, shape)


def csv_rows(path: Path, raw: bytes) -> Iterator[Placed]:
    """The rows of a CSV file whose first line names the columns; every cell is text.

    Raises:
        ConfigError: it is not in UTF-8, a column is named twice, or a row has more or fewer cells than the first.
    """
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(io.StringIO(_text(path, raw), newline=""), strict=True)
    try:
        header = next(reader, [])
        if doubled := {name for name in header if header.count(name) > 1}:
            raise ConfigError(f"column {min(doubled)!r} is there twice", where=f"{path}:1", mend="rename one of them")
        start = reader.line_num + 1
        for cells in reader:
            where, start = f"{path}:{start}", reader.line_num + 1
            if not cells:
                continue
            if len(cells) != len(header):
                raise ConfigError(
                    f"{len(cells)} cells under {len(header)} columns", where=where, mend="quote cells that hold a comma"
                )
            yield where, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise ConfigError(f"not CSV: {error}", where=f"{path}:{reader.line_num}", mend="mend that line") from None


def parquet_rows(path: Path, raw: bytes) -> Iterator[Placed]:
    """The rows of a Parquet file.

    Raises:
        ConfigError: it is none.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(pyarrow.BufferReader(raw)).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise ConfigError(f"not a Parquet file: {error}", where=path, mend="write it anew") from None
    for number, row in enumerate(rows, start=1):
        yield f"{path}: row {number}", row


def check_numbers(value: Any, name: str, where: str) -> None:
    """Refuse what is no JSON within a value: NaN and infinities above all.

    Raises:
        ConfigError: names the column.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{name!r} holds {value}", where=where, mend="write a number, or leave the item out")
    if isinstance(value, Mapping):
        for each in value.values():
            check_numbers(each, name, where)
    elif isinstance(value, list):
        for each in value:
            check_numbers(each, name, where)
    elif value is not None and not isinstance(value, str | int | float):
        raise ConfigError(f"{name!r} holds a {type(value).__name__}", where=where, mend="write it as text")


def required(row: Mapping[str, Any], keys: Sequence[str], where: str) -> None:
    """See that a row has the columns of its layout.

    Raises:
        ConfigError: names the first that is missing.
    """
    for key in keys:
        if row.get(key) is None:
            raise ConfigError(f"an item without {key!r}", where=where, mend="write the layout that 'format' names")


def _object(value: Any, where: str, shape: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError("not a JSON object", where=where, mend=f"write {shape}")
    return value


def _text(path: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"not UTF-8: {error.reason}", where=f"{path}:{line}", mend="save it as UTF-8") from None
