"""Files of JSON: one record per line, or one array or document, streamed and bounded."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, count
from typing import Any

from tao_ops.sources.fields import EXCERPT, beginning
from tao_ops.sources.files import Bomb, LogFile, chunks
from tao_ops.sources.records import Batch, BrokenLine, LoggedQuery, batches
from tao_ops.tables import Reason

MAX_LINE = 8 << 20
"""A longer line is no conversation: it is counted, and never held whole."""

MAX_DOCUMENT_RECORD = 2 * MAX_LINE

_MARK = b"\xef\xbb\xbf"
_PARSERS, _AHEAD = 2, 4

Parse = Callable[[Any, str], Iterable[LoggedQuery | BrokenLine]]
"""Reads one decoded record; the second argument is its position."""


@dataclass(frozen=True)
class Block:
    """Whole lines of a file.

    Attributes:
        first_line: the number of its first line, from 1.
        data: ends with a line break.
    """

    file: str
    first_line: int
    data: bytes

    @cached_property
    def count(self) -> int:
        """How many lines it has, blank ones too."""
        return self.data.count(b"\n")

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """Each line that is not blank, with its position."""
        for number, line in enumerate(self.data.split(b"\n"), self.first_line):
            if line.strip():
                yield f"{self.file}:{number}", line


ParseBlock = Callable[[Block], Batch]


def read(file: LogFile, parse: Parse, parse_block: ParseBlock | None = None) -> Iterator[Batch]:
    """The records of one file.

    A file that begins with an array, or with an object that goes on in the next line, is a document: the array's
    elements, or the objects one after the other, are its records. In any other, each line is one.

    Args:
        parse: reads one record.
        parse_block: reads many lines at once, to the same effect, where a format has a faster way.

    Raises:
        DataError: the file cannot be opened or read.
    """
    stream = chunks(file)
    try:
        head = next(stream, b"")
    except (OSError, Bomb) as error:
        yield _damaged(file, f"{file.name}:1", error)
        return
    if _is_document(head):
        yield from batches(file.name, _records(file, chain([head], stream), parse))
        return
    blocks = _blocks(file, chain([head], stream))
    yield from _in_order(parse_block or (lambda block: by_line(block, parse)), blocks)


def by_line(block: Block, parse: Parse) -> Batch:
    """Each line of a block, decoded and parsed one by one."""
    found = chain.from_iterable(decoded(line, position, parse) for position, line in block.lines())
    return next(batches(block.file, found, rows=len(block.data)), Batch(block.file))


def decoded(line: bytes, position: str, parse: Parse) -> Iterable[LoggedQuery | BrokenLine]:
    """One line as its records, or the reason why it is none."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return [BrokenLine(position, Reason.NOT_TEXT, beginning(line[: 2 * EXCERPT].decode("utf-8", errors="replace")))]
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return [BrokenLine(position, Reason.NOT_JSON, beginning(text))]
    if not isinstance(record, dict):
        return [BrokenLine(position, Reason.NOT_JSON, beginning(text))]
    return parse(record, position)


def _is_document(head: bytes) -> bool:
    """Whether a file that begins so is not one record a line: an array, or objects over several lines."""
    first, _, rest = head.removeprefix(_MARK).lstrip().partition(b"\n")
    if first.strip() == b"{":
        return rest.lstrip().startswith((b'"', b"}"))
    if not first.startswith(b"["):
        return False
    if not rest.strip():
        return True
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return True
    return False  # a whole line, and others after it


def _blocks(file: LogFile, stream: Iterator[bytes]) -> Iterator[Block | BrokenLine]:
    """Whole lines; a line that is too long is passed over without being held."""
    number, carry, skipping = 1, b"", False
    try:
        for chunk in stream:
            data = carry + chunk if not skipping else chunk
            if number == 1 and not skipping:
                data = data.removeprefix(_MARK)
            first = data.find(b"\n")
            if skipping:
                if first < 0:
                    continue
                data, number, skipping = data[first + 1 :], number + 1, False
            elif max(first, len(data) if first < 0 else 0) > MAX_LINE:
                # A chunk holds no more than MAX_LINE: only the line that began before it can be longer.
                yield _too_long(file, number, data)
                if first < 0:
                    carry, skipping = b"", True
                    continue
                data, number = data[first + 1 :], number + 1
            end = data.rfind(b"\n") + 1
            carry = data[end:]
            if end:
                block = Block(file.name, number, data[:end])
                yield block
                number += block.count
    except (OSError, Bomb) as error:
        yield from _damaged(file, f"{file.name}:{number}", error).broken
        return
    if carry.strip():
        yield Block(file.name, number, carry + b"\n") if len(carry) <= MAX_LINE else _too_long(file, number, carry)


def _too_long(file: LogFile, number: int, data: bytes) -> BrokenLine:
    text = beginning(data[: 2 * EXCERPT].decode("utf-8", errors="replace"))
    return BrokenLine(f"{file.name}:{number}", Reason.TOO_LONG, text)


def _damaged(file: LogFile, position: str, error: Exception) -> Batch:
    words = f"{'swells beyond measure' if isinstance(error, Bomb) else 'damaged or cut'}: {error}"
    return Batch(file.name, broken=[BrokenLine(position, Reason.DAMAGED_FILE, words)])


def _in_order(parse: ParseBlock, blocks: Iterator[Block | BrokenLine]) -> Iterator[Batch]:
    """Parse blocks side by side (Arrow's parser lets go of the interpreter), yield in their order."""
    pending: deque[Future[Batch] | Batch] = deque()
    with ThreadPoolExecutor(_PARSERS, thread_name_prefix="tao-parse") as pool:
        try:
            for block in blocks:
                if isinstance(block, BrokenLine):
                    pending.append(Batch(block.position.rsplit(":", 1)[0], broken=[block]))
                else:
                    pending.append(pool.submit(parse, block))
                if len(pending) >= _AHEAD:
                    yield _result(pending.popleft())
            while pending:
                yield _result(pending.popleft())
        finally:
            pool.shutdown(cancel_futures=True)


def _result(batch: "Future[Batch] | Batch") -> Batch:
    return batch if isinstance(batch, Batch) else batch.result()


class _Stream:
    """An iterator of bytes as a file that can be read, at most :data:`MAX_DOCUMENT_RECORD` bytes per record."""

    def __init__(self, stream: Iterator[bytes]) -> None:
        self._stream, self._left, self.of_record = stream, b"", 0

    def read(self, size: int = -1) -> bytes:
        while not self._left:
            chunk = next(self._stream, None)
            if chunk is None:
                return b""
            self._left = chunk
        taken = self._left if size < 0 else self._left[:size]
        self._left = self._left[len(taken) :]
        self.of_record += len(taken)
        if self.of_record > MAX_DOCUMENT_RECORD:
            raise _TooLong
        return taken


class _TooLong(Exception):
    pass


_END = object()


def _records(file: LogFile, stream: Iterator[bytes], parse: Parse) -> Iterator[LoggedQuery | BrokenLine]:
    """The elements of an array, or objects one after the other, wherever their lines break."""
    import ijson

    head = next(stream).removeprefix(_MARK)
    prefix = "item" if head.lstrip().startswith(b"[") else ""
    source = _Stream(chain([head], stream))
    found = ijson.items(source, prefix, use_float=True, multiple_values=not prefix)
    for number in count(1):
        position = f"{file.name}:record {number}"
        source.of_record = 0
        try:
            record = next(found, _END)
        except (ijson.JSONError, UnicodeDecodeError, ValueError) as error:
            yield BrokenLine(position, Reason.NOT_JSON, f"the document is broken from here on: {error}"[:EXCERPT])
            return
        except _TooLong:
            yield BrokenLine(position, Reason.TOO_LONG, "the document is not read from here on")
            return
        except (OSError, Bomb) as error:
            yield from _damaged(file, position, error).broken
            return
        if record is _END:
            return
        yield from parse(record, position)
