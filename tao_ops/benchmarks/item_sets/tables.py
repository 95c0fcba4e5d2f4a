"""``items``: a table of your own, in JSON lines, CSV or Parquet."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tao_ops.answers import strict_json
from tao_ops.benchmarks.item_sets import reading, templates
from tao_ops.benchmarks.item_sets.item import SHAPE, Row
from tao_ops.config import BenchmarkConfig
from tao_ops.errors import ConfigError

NAMES = ("items.jsonl", "items.csv", "items.parquet")
_PREFIX = "reference."
_Read = Callable[[Path, bytes], Iterator[reading.Placed]]


def rows(path: Path, raw: bytes, benchmark: BenchmarkConfig, template: str | None) -> Iterator[Row]:
    """The rows of a table with a column ``item_id``.

    The reference is the column ``reference``, an object or a text; or the columns ``reference.…``; or what is left of
    the columns when the template's, the slices' and the messages are taken away.

    Raises:
        ConfigError: the file is none of the three kinds, or a row is no item.
    """
    plain = path.suffix.lower() == ".csv"
    for where, row in _reader(path)(path, raw):
        _check(row, where)
        columns = {key: _cell(key, value, where) if plain else value for key, value in row.items()}
        messages = columns.pop("messages", None)
        if messages is None and template is None:
            raise ConfigError(
                "an item without 'messages'", where=where, mend=f"name a 'template' in the YAML, or write {SHAPE}"
            )
        used = set(benchmark.slices) | (set(templates.names(template)) if template and messages is None else set())
        reference = _reference(columns, used, where)
        if reference is None and benchmark.metric != "judge" and benchmark.scorer is None:
            raise ConfigError("an item without 'reference'", where=where, mend=f"write {SHAPE}")
        yield Row(where, columns["item_id"], columns, {} if reference is None else reference, messages)


def _reader(path: Path) -> _Read:
    match path.suffix.lower():
        case ".csv":
            return reading.csv_rows
        case ".parquet":
            return reading.parquet_rows
        case _:
            return lambda file, raw: reading.json_lines(file, raw, SHAPE)


def _check(columns: Mapping[str, Any], where: str) -> None:
    if "item_id" not in columns:
        raise ConfigError("an item without 'item_id'", where=where, mend=f"write {SHAPE}")
    for key, value in columns.items():
        reading.check_numbers(value, key, where)


def _cell(key: str, text: str, where: str) -> Any:
    """A cell of CSV: text, but messages are JSON, and a reference is where it begins like an object."""
    if key != "messages" and not (key == "reference" and text.lstrip().startswith("{")):
        return text
    if not text.strip():
        return None
    try:
        return strict_json(text)
    except ValueError as error:
        raise ConfigError(f"{key!r} is not JSON: {error}", where=where, mend="write it as JSON") from None


def _reference(columns: Mapping[str, Any], used: set[str], where: str) -> Mapping[str, Any] | None:
    if (told := columns.get("reference")) is not None:
        if isinstance(told, str) and told.strip():
            return {"answer": told}
        if not isinstance(told, dict) or not told:
            raise ConfigError("'reference' is empty or of a wrong type", where=where, mend=f"write {SHAPE}")
        return told
    given = {key: value for key, value in columns.items() if value is not None}
    named = {key.removeprefix(_PREFIX): value for key, value in given.items() if key.startswith(_PREFIX)}
    left = {key: value for key, value in given.items() if key != "item_id" and key not in used}
    return named or left or None
