"""Log files, local or in an object store: found by pattern, opened, decompressed, each step bounded."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from tao_ops.errors import DataError, SourceUnreachable
from tao_ops.sources.records import Window
from tao_ops.sources.stores import filesystem_of, matching, reaching

CHUNK = 4 << 20
"""Bytes that are read at once."""

_PIECE = 16 << 10

BOMB_BYTES, BOMB_RATIO = 1 << 30, 500
"""A compressed file that gave more bytes than this, and this many times its own size, is a bomb: gzip's own limit is
1032, and logs come to 5 to 50."""

UNTOUCHED = timedelta(days=1)
"""A file last written this long before the window's start holds nothing of it; the slack is for clocks."""

_DATE = re.compile(r"\{(%[^{}]*)\}")
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


class Bomb(Exception):
    """A compressed file swells beyond measure."""


@dataclass(frozen=True)
class LogFile:
    """A file that a pattern matched.

    Attributes:
        name: as a person would write it: a path, or a URL.
        modified: when it was written last, where the file system tells.
    """

    name: str
    path: str
    filesystem: Any
    modified: datetime | None

    @property
    def date(self) -> str:
        """The first ten characters of its name, ``2026-11-21`` where it begins with a date."""
        return self.name.rsplit("/", 1)[-1][:10]


def find(
    pattern: str, window: Window, timezone: str, *, connection: str | None = None, may_be_none: bool = False
) -> tuple[list[LogFile], int]:
    """The files that match, in the order of their names, without those last written before the window.

    Args:
        connection: the Connection that signs in to the store; None: the account of this process does.
        may_be_none: a pattern that matches nothing is no error: who writes there may not have begun.

    Returns:
        The files, and how many others were left out for their age.

    Raises:
        DataError: nothing matches, the place is missing or refuses, or its file system is not installed.
        SourceUnreachable: the place does not answer.
    """
    found = {file.name: file for file in _listed(pattern, dated(pattern, window, timezone), connection)}
    if not found and not may_be_none:
        raise DataError("no query log matches", where=pattern, mend="mend the pattern, or see that logs are written")
    fresh = [f for f in found.values() if f.modified is None or f.modified >= window.start - UNTOUCHED]
    return sorted(fresh, key=lambda file: file.name), len(found) - len(fresh)


def dated(pattern: str, window: Window, timezone: str) -> list[str]:
    """``pattern`` with its ``{%Y-%m-%d}`` replaced by each day of the window (each hour, where it says ``%H``).

    >>> from datetime import datetime, UTC
    >>> day = Window(datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC))
    >>> dated("logs/{%Y/%m/%d}/*.jsonl", day, "UTC")
    ['logs/2026/11/21/*.jsonl', 'logs/2026/11/22/*.jsonl']
    """
    if not _DATE.search(pattern):
        return [pattern]
    step = timedelta(hours=1) if "%H" in "".join(_DATE.findall(pattern)) else timedelta(hours=12)
    patterns: dict[str, None] = {}
    at = window.start
    while True:
        for zone in (UTC, ZoneInfo(timezone)):  # logs are rotated by either clock
            local = at.astimezone(zone)
            patterns[_DATE.sub(lambda match, local=local: local.strftime(match[1]), pattern)] = None  # type: ignore[misc]
        if at >= window.end:
            return list(patterns)
        at = min(at + step, window.end)


def _listed(pattern: str, patterns: list[str], connection: str | None) -> list[LogFile]:
    with reaching(pattern):
        filesystem = filesystem_of(pattern, connection)
        return [
            LogFile(_shown(filesystem, info["name"]), info["name"], filesystem, _modified(info))
            for one in patterns
            for info in matching(filesystem, filesystem._strip_protocol(one))
        ]


def _shown(filesystem: Any, name: str) -> str:
    return name if Path(name).is_absolute() else str(filesystem.unstrip_protocol(name))


def _modified(info: dict[str, Any]) -> datetime | None:
    value = info.get("mtime") or info.get("LastModified") or info.get("updated")
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, UTC)
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value if isinstance(value, datetime) and value.tzinfo else None


class _Raw:
    """A file's bytes as they are stored; a failure to get them is an error that no decoder takes for damage."""

    def __init__(self, raw: Any, name: str) -> None:
        self._raw, self._name = raw, name

    def read(self, size: int = -1) -> bytes:
        with _present(self._name):
            taken: bytes = self._raw.read(size)
            return taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


@contextmanager
def _present(name: str) -> Iterator[None]:
    with reaching(name):
        try:
            yield
        except FileNotFoundError:
            raise SourceUnreachable("is gone since it was listed", where=name, mend="run it again") from None


@contextmanager
def opened(file: LogFile) -> Iterator[IO[bytes]]:
    """The file's bytes as they are stored.

    Raises:
        DataError: it may not be read; out of ``read`` too.
        SourceUnreachable: it is gone, changed while it was read, or the store does not answer; out of ``read`` too.
    """
    with _present(file.name):
        raw = file.filesystem.open(file.path, "rb")
    with raw:
        guarded: Any = _Raw(raw, file.name)
        yield guarded


def chunks(file: LogFile) -> Iterator[bytes]:
    """The file's content, decompressed, about :data:`CHUNK` bytes at a time.

    Raises:
        DataError: it cannot be opened or read.
        OSError: the compressed stream is damaged or cut; what came before was yielded, but for the last few lines.
        Bomb: it swells beyond :data:`BOMB_RATIO`.
    """
    with opened(file) as raw:
        head = raw.read(4)
        raw.seek(0)
        codec = next((codec for magic, codec in _MAGIC.items() if head.startswith(magic)), None)
        if codec is None:
            while chunk := raw.read(CHUNK):
                yield chunk
        else:
            yield from _decompressed(raw, codec)


def _decompressed(raw: IO[bytes], codec: str) -> Iterator[bytes]:
    stream = pa.CompressedInputStream(pa.PythonFile(raw, "r"), codec)
    given, pieces, size = 0, [], 0
    try:
        # Small reads: of a damaged one nothing is given, not even what lies before the damage.
        while piece := stream.read(_PIECE):
            given += len(piece)
            size += len(piece)
            pieces.append(piece)
            if size >= CHUNK:
                if given > BOMB_BYTES and given > BOMB_RATIO * raw.tell():
                    raise Bomb(f"{given:,} bytes out of {raw.tell():,}")
                yield b"".join(pieces)
                pieces, size = [], 0
    except OSError:
        yield b"".join(pieces)
        raise
    yield b"".join(pieces)
