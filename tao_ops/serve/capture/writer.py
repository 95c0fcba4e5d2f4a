"""``python -m tao_ops.serve.capture.writer``: the process that parses, redacts, and writes; fed through its stdin.

The first frame is the setup. It ends when the pipe does, after it has written what came through: when the server
closes it, and when the server is killed. It ignores SIGINT and SIGTERM, which a terminal or a supervisor send to all
processes of a group: what the server still sends must be written. On stdout it says, one JSON object a line, up to
which record all is on the disk.
"""

import json
import logging
import os
import select
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from tao_ops.serve.capture.exchanges import Unreadable, exchange_of
from tao_ops.serve.capture.lines import Lines
from tao_ops.serve.capture.raw import Frame, Frames
from tao_ops.serve.capture.segments import Segments
from tao_ops.serve.capture.setup import Setup

READ = 1 << 20
NICE = 10
"""Where cores are scarce, the server goes first."""

RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Waits between attempts at a disk that is full or refuses; the last one is repeated while the server lives."""

LAST_S = 10.0
"""How long a disk that refuses is tried once the server has gone."""

_LOG = logging.getLogger(__name__)


class Writer:
    """Frames in, lines out.

    Args:
        out: file descriptor for what is said of progress.
    """

    def __init__(self, setup: Setup, segments: Segments, out: int) -> None:
        self._setup, self._segments, self._out = setup, segments, out
        self._lines = Lines(setup)
        self._unsynced: list[bytes] = []
        self._unwritten = 0
        self._seq = self._told = 0
        self._synced_at = time.monotonic()
        self._counts: Counter[str] = Counter()

    def take(self, frame: Frame) -> None:
        """Make a frame's line; it is written with the next :meth:`write`."""
        self._seq = frame.told["seq"]
        try:
            record = self._record(frame)
        except Unreadable:
            record = "unreadable"
        except Exception as error:  # one record must not take the others with it
            _LOG.error("a record could not be made a line: %s", type(error).__name__)
            record = "unreadable"
        if isinstance(record, str):
            self._counts[f"left.{record}"] += 1
            return
        self._unsynced.append(_encoded(record))
        self._unwritten += 1

    def _record(self, frame: Frame) -> dict[str, Any] | str:
        told = frame.told
        if told["kind"] == "feedback":
            return self._lines.of_feedback(told)
        return self._lines.of_exchange(exchange_of(told, frame.request, frame.body))

    def write(self, *, last: bool = False) -> None:
        """Write the lines, flush them where it is time, and say so; a disk that refuses is tried again.

        Args:
            last: the server has gone: flush, and don't try for ever.

        Raises:
            OSError: the disk refused for :data:`LAST_S` after the server had gone.
        """
        began, tries = time.monotonic(), 0
        while True:
            try:
                self._attempt(last)
                return
            except OSError as error:
                self._begin_again(error)
                if last and time.monotonic() - began > LAST_S:
                    raise
            time.sleep(RETRY_S[min(tries, len(RETRY_S) - 1)] if not last else RETRY_S[0])
            tries += 1
            last = last or _closed(0)

    def _begin_again(self, error: OSError) -> None:
        """Leave the segment: after a failed flush nobody knows what is there."""
        _LOG.error("the capture's folder cannot be written: %s", error.strerror)
        with suppress(OSError):
            self._segments.abandon()
        self._unwritten = len(self._unsynced)

    def _attempt(self, last: bool) -> None:
        if self._unwritten:
            self._segments.append(b"".join(self._unsynced[-self._unwritten :]))
            self._unwritten = 0
        if not (last or self._setup.config.sync == "batch" or self._due() <= 0.0):
            return
        if self._unsynced:
            self._segments.sync()
        self._synced_at = time.monotonic()
        self._counts["written"] += len(self._unsynced)
        self._counts["bytes"] += sum(map(len, self._unsynced))
        self._unsynced.clear()
        if self._seq != self._told:
            self._told = self._seq
            said = json.dumps({"synced": self._seq, "counts": self._counts}).encode() + b"\n"
            with suppress(BrokenPipeError):  # the server has gone
                os.write(self._out, said)

    def patience(self) -> float:
        """Seconds to wait for the next frame before something else is to be done."""
        return min(1.0, max(0.0, self._due())) if self._seq != self._told else 1.0

    def _due(self) -> float:
        """Seconds until the next flush where ``sync`` is ``interval``."""
        return self._synced_at + self._setup.config.interval.total_seconds() - time.monotonic()

    def idle(self) -> None:
        """What is to be done when nothing came for a while."""
        if self._seq != self._told or self._unsynced:
            self.write()
        try:
            self._segments.close_aged()
        except OSError as error:  # with sync: interval it may hold lines that were not flushed yet
            self._begin_again(error)


def _encoded(record: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half a character: the reader counts it
        text = json.dumps(record, separators=(",", ":")).encode()
    return text + b"\n"


def _closed(pipe: int) -> bool:
    poll = select.poll()
    poll.register(pipe, 0)
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))


def main() -> int:
    """Write what comes until the pipe ends; 1 where the disk refused to the last."""
    try:
        _run()
    except OSError as error:
        _LOG.error("what was left could not be written: %s", error.strerror)
        return 1
    return 0


def _run() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(level=logging.ERROR, format="capture's writer: %(message)s")
    os.nice(NICE)
    out = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no word to the server
    frames, writer = Frames(), None
    poll = select.poll()
    poll.register(0, select.POLLIN)
    while True:
        if not poll.poll(1000 * (1.0 if writer is None else writer.patience())):
            if writer is not None:
                writer.idle()
            continue
        data = os.read(0, READ)
        if not data:
            break
        for frame in frames.feed(data):
            if writer is None:
                setup = Setup.from_json(frame.body)
                writer = Writer(setup, Segments(Path(setup.folder), setup.server, setup.config), out)
            else:
                writer.take(frame)
        if writer is not None:
            writer.write()
    if writer is not None:
        writer.write(last=True)


if __name__ == "__main__":
    sys.exit(main())
