"""What every reader of query logs yields: batches of logged queries, and the lines that are none."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from tao_ops.records import Message
from tao_ops.tables import Reason

LOGGED = pa.schema(
    [
        pa.field("position", pa.string()),
        pa.field("request_id", pa.string()),
        pa.field("received_at", pa.timestamp("us", tz="UTC")),
        pa.field("messages", pa.list_(pa.struct([pa.field("role", pa.string()), pa.field("content", pa.string())]))),
        pa.field("system", pa.string()),
        pa.field("task", pa.string()),
        pa.field("model", pa.string()),
        pa.field("route", pa.string()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("user", pa.string()),
        pa.field("model_version", pa.string()),
        pa.field("response", pa.string()),
        pa.field("feedback", pa.string()),
        pa.field("corrected", pa.string()),
    ]
)
"""The columns of :attr:`Batch.queries`: the fields of :class:`LoggedQuery`."""

BATCH_ROWS, BATCH_CHARACTERS = 8192, 16 << 20

_HASHED = "\0"
_DIGEST = re.compile(rf"{_HASHED}([0-9a-f]{{32}})")


def hashed(digest: str) -> str:
    """A user of whom the log has the keyed hash alone, for :attr:`LoggedQuery.user`.

    It begins with a character that no text read from a log holds, so no name can be taken for a hash.
    """
    return _HASHED + digest


def hash_of(user: str) -> str | None:
    """The keyed hash of a user that :func:`hashed` made; None of a user in clear.

    >>> hash_of(hashed("0123456789abcdef0123456789abcdef")), hash_of("anna")
    ('0123456789abcdef0123456789abcdef', None)
    """
    found = _DIGEST.fullmatch(user)
    return found[1] if found else None


def _no_queries() -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=LOGGED)


@dataclass(frozen=True)
class LoggedQuery:
    """One logged call, as it was: not redacted yet.

    Attributes:
        position: ``file:line``, or another place that a person can find; two rows of a file have different ones.
        request_id: None where the format has none for this call.
        received_at: when the call came in, with a zone.
        messages: the conversation up to the last user message, without system messages.
        system: the system or developer message, where there was one.
        task: the flywheel's task, where the log itself names it (``metadata.task``).
        model: the model that the request named.
        route: the path or route that the request came by.
        tags: words that the caller or the gateway put on the request.
        user: the caller's name for its user, in clear; or its hash, as :func:`hashed` gives it.
        model_version: the serving model's name for itself; None where no response was logged.
        response: the response's text; None where there was none.
        feedback: the user's verdict on the response, ``up`` or ``down``; None where there is none.
        corrected: the answer that the user says would have been right; None where there is none.
    """

    position: str
    request_id: str | None
    received_at: datetime
    messages: tuple[Message, ...]
    system: str | None = None
    task: str | None = None
    model: str | None = None
    route: str | None = None
    tags: tuple[str, ...] = ()
    user: str | None = None
    model_version: str | None = None
    response: str | None = None
    feedback: str | None = None
    corrected: str | None = None


@dataclass(frozen=True)
class BrokenLine:
    """A line that cannot be used, and why.

    Attributes:
        text: what a person would want to see of it, not redacted yet and not longer than it must be.
        received_at: its time, where it could be read.
        user: the caller's name for its user, where it could be read; or its hash, as :func:`hashed` gives it.
    """

    position: str
    reason: Reason
    text: str
    received_at: datetime | None = None
    user: str | None = None


@dataclass(frozen=True)
class Batch:
    """Some lines of one file, in their order.

    Attributes:
        file: the file or table that they are from.
        queries: the schema is :data:`LOGGED`.
    """

    file: str
    queries: pa.RecordBatch = field(default_factory=_no_queries)
    broken: list[BrokenLine] = field(default_factory=list)


@dataclass(frozen=True)
class Window:
    """The half-open interval of times ``[start, end)`` that a turn looks at, in UTC."""

    start: datetime
    end: datetime


def record_batch(queries: Iterable[LoggedQuery]) -> pa.RecordBatch:
    """Logged queries as columns."""
    rows = list(queries)
    columns = [pa.array([getattr(row, f.name) for row in rows], type=f.type) for f in LOGGED]
    return pa.RecordBatch.from_arrays(columns, schema=LOGGED)


def batches(file: str, lines: Iterable[LoggedQuery | BrokenLine], rows: int = BATCH_ROWS) -> Iterator[Batch]:
    """Lines of one file, one at a time, gathered into batches of ``rows``."""
    queries: list[LoggedQuery] = []
    broken: list[BrokenLine] = []
    held = 0
    for line in lines:
        if isinstance(line, LoggedQuery):
            queries.append(line)
            held += sum(len(message["content"]) for message in line.messages) + len(line.response or "")
            held += len(line.corrected or "")
        else:
            broken.append(line)
        if len(queries) + len(broken) >= rows or held >= BATCH_CHARACTERS:
            yield Batch(file, record_batch(queries), broken)
            queries, broken, held = [], [], 0
    if queries or broken:
        yield Batch(file, record_batch(queries), broken)
