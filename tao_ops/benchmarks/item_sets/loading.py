"""A benchmark's YAML → its item set."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from tao_ops.benchmarks.item_sets import finance, questions, reading, tables, templates, text_to_sql
from tao_ops.benchmarks.item_sets.item import SHAPE, Item, ItemSet, Row, conversation, digest
from tao_ops.config import BenchmarkConfig, BenchmarkFormat, expand
from tao_ops.errors import ConfigError

File = Callable[[str], Path]
"""A flywheel's own ``file``: a path below ``include/``, unless it is absolute."""
_SQL = (BenchmarkFormat.BIRD, BenchmarkFormat.SPIDER)
_NAMES: Mapping[BenchmarkFormat, tuple[str, ...]] = {
    **text_to_sql.NAMES,
    BenchmarkFormat.ITEMS: tables.NAMES,
    BenchmarkFormat.FINANCEBENCH: finance.FINANCEBENCH_NAMES,
    BenchmarkFormat.TATQA: finance.TATQA_NAMES,
    BenchmarkFormat.GSM8K: questions.GSM8K_NAMES,
    BenchmarkFormat.IFEVAL: questions.IFEVAL_NAMES,
}
_TEMPLATES: Mapping[BenchmarkFormat, str] = {
    **text_to_sql.TEMPLATES,
    BenchmarkFormat.FINANCEBENCH: finance.FINANCEBENCH_TEMPLATE,
    BenchmarkFormat.TATQA: finance.TATQA_TEMPLATE,
    BenchmarkFormat.GSM8K: questions.GSM8K_TEMPLATE,
    BenchmarkFormat.IFEVAL: questions.IFEVAL_TEMPLATE,
}
"""What is asked by each format where the YAML names no template."""
_QUESTION = "question"
_GAP = re.compile(r"\n{3,}")


def load_items(benchmark: BenchmarkConfig, file: File) -> ItemSet:
    """Read a benchmark's items, in their order.

    Raises:
        ConfigError: a file is missing, a row is no item, two have one ``item_id``, there is none, or the format is one
            whose items are in no file (``holdout``) or are made by the harness (``harness``). The message names the
            file and the line.
    """
    if benchmark.format in (BenchmarkFormat.HOLDOUT, BenchmarkFormat.HARNESS):
        raise ConfigError(
            f"the items of benchmark {benchmark.name} are in no file: its format is {benchmark.format.value}",
            mend="evaluate makes them",
        )
    path = questions_file(benchmark, file)
    raw = reading.content(path, benchmark.name)
    own = None if benchmark.template is None else templates.read(file(benchmark.template))
    template = own or _TEMPLATES.get(benchmark.format)
    items: dict[str, Item] = {}
    places: dict[str, str] = {}
    for row in islice(_rows(path, raw, benchmark, template), benchmark.limit):
        item = _item(row, template, benchmark)
        if item.item_id in items:
            raise ConfigError(
                f"item_id {item.item_id!r} is there twice, first at {places[item.item_id]}",
                where=row.where,
                mend="give each item its own",
            )
        items[item.item_id], places[item.item_id] = item, row.where
    if not items:
        raise ConfigError(f"benchmark {benchmark.name} has no items", where=path, mend=_mend_empty(benchmark))
    further = list(_further(path, benchmark, template, items.values()))
    return ItemSet(benchmark.name, digest(raw, further), tuple(items.values()))


def questions_file(benchmark: BenchmarkConfig, file: File) -> Path:
    """The file that holds a benchmark's questions: its ``path``, or the one in that folder which its format names.

    Raises:
        ConfigError: ``path`` names a variable that is not set, or a folder with two such files.
    """
    return reading.find(file(expand(str(benchmark.path))), _NAMES[benchmark.format], benchmark.name)


def databases(benchmark: BenchmarkConfig, items: Iterable[Item], file: File) -> dict[str, Path]:
    """By name, the databases of a text-to-SQL benchmark's items.

    Raises:
        ConfigError: one is missing.
    """
    path = questions_file(benchmark, file)
    named = sorted({str(item.reference["db_id"]) for item in items})
    return {name: text_to_sql.database_file(path, benchmark.format, name, path) for name in named}


def _rows(path: Path, raw: bytes, benchmark: BenchmarkConfig, template: str | None) -> Iterator[Row]:
    numbers = benchmark.scored_by == "numeric" and benchmark.scorer is None
    match benchmark.format:
        case BenchmarkFormat.BIRD | BenchmarkFormat.SPIDER:
            return text_to_sql.rows(path, raw, benchmark.format)
        case BenchmarkFormat.FINANCEBENCH:
            return finance.financebench(path, raw, numbers=numbers)
        case BenchmarkFormat.TATQA:
            return finance.tatqa(path, raw, numbers=numbers)
        case BenchmarkFormat.GSM8K:
            return questions.gsm8k(path, raw)
        case BenchmarkFormat.IFEVAL:
            return questions.ifeval(path, raw)
        case _:
            return tables.rows(path, raw, benchmark, template)


def _item(row: Row, template: str | None, benchmark: BenchmarkConfig) -> Item:
    if not isinstance(row.item_id, str) or not row.item_id.strip():
        raise ConfigError("'item_id' is empty or of a wrong type", where=row.where, mend="write it as text")
    slices = {column: value for column in benchmark.slices if (value := _slice(row, column))}
    if row.messages is not None or template is None:
        messages = conversation(row.messages, row.where)
        return Item(row.item_id, messages, row.reference, slices)
    told = benchmark.template or f"of {benchmark.format.value}"
    asked = templates.render(template, row.columns, where=row.where, told=told).strip()
    if benchmark.template is None:
        asked = _GAP.sub("\n\n", asked)  # what an empty column leaves
    if not asked:
        raise ConfigError("an item asks nothing", where=row.where, mend="fill its columns")
    question = row.columns.get(_QUESTION)
    bare = question.strip() if isinstance(question, str) and question.strip() != asked else ""
    return Item(row.item_id, ({"role": "user", "content": asked},), row.reference, slices, bare)


def _slice(row: Row, column: str) -> str:
    """The value by which an item is in a slice; empty where it has none."""
    if column not in row.columns:
        raise ConfigError(
            f"an item without {column!r}, which 'slices' names", where=row.where, mend="add the column, or name another"
        )
    value: Any = row.columns[column]
    reading.check_numbers(value, column, row.where)
    if isinstance(value, dict | list):
        raise ConfigError(f"{column!r} is no single value", where=row.where, mend="slice by a column of texts")
    return "" if value is None else templates.as_text(value)


def _further(path: Path, benchmark: BenchmarkConfig, template: str | None, items: Iterable[Item]) -> Iterator[str]:
    """What beside the file's content makes the items; nothing for a plain table with messages."""
    if benchmark.format is not BenchmarkFormat.ITEMS:
        yield f"format {benchmark.format.value}"
    if template is not None:
        yield f"template {template}"
    if benchmark.limit is not None:
        yield f"limit {benchmark.limit}"
    if benchmark.format in _SQL:
        named = {str(item.reference["db_id"]) for item in items}
        found = {name: text_to_sql.database_file(path, benchmark.format, name, path) for name in named}
        yield from text_to_sql.digests(found)


def _mend_empty(benchmark: BenchmarkConfig) -> str:
    if benchmark.format in (BenchmarkFormat.FINANCEBENCH, BenchmarkFormat.TATQA):
        return "questions whose answer is no number need 'metric: judge'"
    return f"write {SHAPE}" if benchmark.format is BenchmarkFormat.ITEMS else "see the layout that 'format' names"
