"""Segment files: lines are only ever added, a server has its own, and one that is full or old is closed."""

import os
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from tao_ops.config import CaptureConfig


class Segments:
    """Appends lines to ``<folder>/<YYYY-MM-DD>/<server>-<time>-<seq>.jsonl``.

    The day is that of the write, in UTC; at midnight another segment begins. The time is the writer's start with a
    random part, and a file is only ever made new: two servers never share one, whatever their names.

    Attributes:
        path: the file that lines go to; None while there is none.
    """

    def __init__(self, folder: Path, server: str, config: CaptureConfig) -> None:
        self.path: Path | None = None
        self._folder, self._config = folder, config
        name = re.sub(r"[^A-Za-z0-9_.-]", "-", server) or "server"
        self._name = f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%S}{secrets.token_hex(3)}"
        self._file, self._size, self._seq = -1, 0, 0
        self._day, self._began = "", 0.0

    def append(self, lines: bytes) -> None:
        """Write whole lines, each with its line break; they are on the disk after :meth:`sync`.

        Raises:
            OSError: the disk is full or refuses; of ``lines`` nothing is in the segment.
        """
        self.close_aged()
        if self._file < 0 or f"{datetime.now(UTC):%Y-%m-%d}" != self._day:
            self._open()
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(lines)

    def sync(self) -> None:
        """Flush what was written to the disk itself, and close a segment that is full.

        Raises:
            OSError: it may not be there; write those lines again, into another segment.
        """
        if self._file >= 0:
            os.fsync(self._file)
            if self._size >= self._config.segment_mib << 20:
                self._close()

    def close_aged(self) -> None:
        """Close the segment where it is older than ``segment_age``; what it holds must have been flushed before."""
        if self._file >= 0 and monotonic() - self._began >= self._config.segment_age.total_seconds():
            os.fsync(self._file)
            self._close()

    def abandon(self) -> None:
        """Close the segment after an error; the next lines go to another."""
        if self._file >= 0:
            self._close()

    def _close(self) -> None:
        file, self._file, self.path = self._file, -1, None
        os.close(file)

    def _open(self) -> None:
        if self._file >= 0:
            os.fsync(self._file)
            self._close()
        now = datetime.now(UTC)
        folder = self._folder / f"{now:%Y-%m-%d}"
        _make(folder)
        self._seq += 1
        path = folder / f"{self._name}-{self._seq:06d}.jsonl"
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        _sync_folder(folder)
        self.path, self._day, self._began, self._size = path, f"{now:%Y-%m-%d}", monotonic(), 0


def _make(folder: Path) -> None:
    """The folder and those above it, each known to the disk."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(mode=0o750, exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
