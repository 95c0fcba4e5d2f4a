"""Readers of query logs: one module per format, each a stream of logged queries, or of reasons why not."""

import importlib
from collections.abc import Callable, Iterator

from tao_ops.config import Format, SourceConfig
from tao_ops.sources import files, json_lines
from tao_ops.sources.records import Batch, Window

_TABLES = (Format.TABLE, Format.INFERENCE_TABLE)
_MODULES = {Format.MLFLOW: "mlflow_traces"}


def read(
    source: SourceConfig, pattern: str, window: Window, *, timezone: str = "UTC", say: Callable[[str], None] = print
) -> Iterator[Batch]:
    """Everything that a source holds of the window, and maybe more: who asks looks at the times.

    Args:
        pattern: the source's path, with its variables replaced.
        timezone: of the flywheel; dates in the path follow it, and UTC.
        say: told which files were left out.

    Raises:
        DataError: nothing matches (of ``captured`` that is no error), or a place cannot be read.
    """
    module = importlib.import_module(f"tao_ops.sources.{_MODULES.get(source.format, source.format.value)}")
    if source.format in _TABLES:
        yield from module.read(source, pattern, window)
        return
    captured = source.format == Format.CAPTURED
    found, old = files.find(pattern, window, timezone, connection=source.connection, may_be_none=captured)
    if old:
        say(
            f"{pattern}: {old} of {old + len(found)} files were written last before {window.start:%Y-%m-%d}: not opened"
        )
    if captured:
        yield from module.read(source, found, say)
        return
    parse = module.reader(source)
    parse_block = None
    if source.format == Format.CHAT_COMPLETIONS:
        from tao_ops.sources.fast_chat_completions import block_parser

        parse_block = block_parser(parse)
    for file in found:
        yield from json_lines.read(file, parse, parse_block)
