"""A benchmark of ``format: harness``: its items, its version, and its run on our engine."""

import hashlib
import importlib.metadata
from pathlib import Path
from typing import Any

from tao_ops.backends import Engine, harness
from tao_ops.backends.harness_tasks import Wanted, not_installed
from tao_ops.benchmarks.item_sets import File, Item, ItemSet
from tao_ops.config import BenchmarkConfig, expand
from tao_ops.errors import ConfigError
from tao_ops.records import Progress

_BLOCK = 1 << 20


def run_harness(
    benchmark: BenchmarkConfig, file: File, engine: Engine, *, say: Progress
) -> tuple[ItemSet, list[float], list[str]]:
    """Ask the task's documents of the engine: the items, and by item the score in [0, 1] and the model's output.

    Raises:
        ConfigError: the task, its data or its metric cannot be used, or the engine does not tell what it compares.
        EngineError: the engine failed.
    """
    answered = harness.run(_wanted(benchmark, file), engine, say=say)
    items = tuple(_item(one.document, benchmark) for one in answered)
    return (
        ItemSet(benchmark.name, version(benchmark, file), items),
        [one.score for one in answered],
        [one.output for one in answered],
    )


def harness_items(benchmark: BenchmarkConfig, file: File) -> ItemSet:
    """What the task asks, without asking it.

    Raises:
        ConfigError: the task or its data cannot be used.
    """
    asked = harness.documents(_wanted(benchmark, file))
    return ItemSet(benchmark.name, version(benchmark, file), tuple(_item(one, benchmark) for one in asked))


def version(benchmark: BenchmarkConfig, file: File) -> str:
    """Sixteen hex digits of the folder's files, the task's name and limit, and the harness's own version.

    Raises:
        ConfigError: the folder is not there, or a file of it cannot be read.
    """
    folder = _folder(benchmark, file)
    try:
        installed = importlib.metadata.version("lm_eval")
    except importlib.metadata.PackageNotFoundError:
        raise not_installed() from None
    sha = hashlib.sha256(f"lm_eval {installed}\0".encode())
    sha.update(f"{benchmark.harness}\0{benchmark.limit}\0".encode())
    for path in sorted(one for one in folder.rglob("*") if one.is_file() and "__pycache__" not in one.parts):
        sha.update(f"{path.relative_to(folder).as_posix()}\0{_digest(path)}\0".encode())
    return sha.hexdigest()[:16]


def _digest(path: Path) -> str:
    sha = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                sha.update(block)
    except OSError as error:
        raise ConfigError(f"the task's file cannot be read: {error.strerror}", where=path) from None
    return sha.hexdigest()


def _folder(benchmark: BenchmarkConfig, file: File) -> Path:
    folder = file(expand(str(benchmark.path)))
    if not folder.is_dir():
        raise ConfigError(
            f"benchmark {benchmark.name} names no folder",
            where=folder,
            mend="name the folder of the task's YAML and data",
        )
    return folder


def _wanted(benchmark: BenchmarkConfig, file: File) -> Wanted:
    return Wanted(_folder(benchmark, file), str(benchmark.harness), benchmark.scored_by, benchmark.limit)


def _item(document: harness.Document, benchmark: BenchmarkConfig) -> Item:
    slices = {}
    for column in benchmark.slices:
        value: Any = document.columns.get(column)
        if column not in document.columns or isinstance(value, dict | list):
            raise ConfigError(
                f"document {document.item_id} of {benchmark.name} has no single value {column!r}",
                mend="slice by a column of texts",
            )
        if value is not None:
            slices[column] = str(value)
    return Item(document.item_id, document.messages, {"target": document.target}, slices)
