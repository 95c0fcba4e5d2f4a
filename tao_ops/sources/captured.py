"""Segments of a server's capture (``tao serve``, or its middleware around another server), JSON lines.

One line is one answered request, in the shape of ``chat_completions`` and more; it was redacted, and its user hashed,
before it was written. Another kind of line is what a user said of an answer later, joined by the request id, in
whichever of the segments it stands; of several the last counts, for the verdict and the correction apart::

    {"kind": "exchange", "request_id": "req-…", "received_at": "2026-11-21T08:14:03.120000Z",
     "route": "/v1/chat/completions", "tags": [], "user_hash": "…", "version": 3, "arm": "champion",
     "seconds": 0.412, "first_seconds": 0.031, "prompt_tokens": 71, "tokens": 24, "redactor_version": "2",
     "request": {"model": …, "messages": [{"role", "content"}, …], "metadata": {"task": …}},
     "response": {"model": …, "choices": [{"message": {"content": …}}]}}
    {"kind": "feedback", "request_id": "req-…", "received_at": "…", "feedback": "up", "corrected": null}

================= =====================================================================================
field             key
================= =====================================================================================
``user``          ``user_hash``, as a hash (:func:`tao_ops.sources.records.hashed`); may be missing
``model_version`` ``response.model``: the digest of the model's files, where the server said it
``messages``      ``request.messages``; of a text completion ``request.prompt``, as the message of a user
``response``      ``response.choices[0].message.content``, or ``….text`` of a text completion
``feedback``      ``feedback`` of the request's lines of that kind
``corrected``     ``corrected`` of the same
the others        as in ``chat_completions``
================= =====================================================================================

A segment may be written to while it is read: a last line without its line break is left for the next turn. Once the
file has not been written to for :data:`SETTLED`, it is a torn one (a power cut, a kill), and counted.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tao_ops.config import SourceConfig
from tao_ops.sources import chat_completions
from tao_ops.sources.feedback_join import FeedbackJoin
from tao_ops.sources.fields import beginning
from tao_ops.sources.files import Bomb, LogFile, chunks
from tao_ops.sources.json_lines import MAX_LINE, Parse, decoded
from tao_ops.sources.records import Batch, BrokenLine, LoggedQuery, batches, hashed
from tao_ops.tables import Reason

SETTLED = timedelta(hours=1)
"""A line is written at once, or again elsewhere: one that has had no end for so long will have none."""

_FEEDBACK = b'"kind":"feedback"'


def read(source: SourceConfig, found: Sequence[LogFile], say: Callable[[str], None] = print) -> Iterator[Batch]:
    """The answered requests of the segments, each with what was said of it in any of them.

    Raises:
        DataError: a segment cannot be opened or read.
    """
    with FeedbackJoin() as join:
        _join_all(found, join)
        parse = reader(source, join)
        for file in found:
            yield from batches(file.name, _queries(file, parse))
        for sentence in join.sentences():
            say(sentence)


def reader(source: SourceConfig, join: FeedbackJoin | None = None) -> Parse:
    """Reads one line's record."""
    chat = chat_completions.reader(source)

    def parse(record: Any, position: str) -> Iterator[LoggedQuery | BrokenLine]:
        if isinstance(record, dict) and record.get("kind") == "feedback":
            return
        digest = record.get("user_hash") if isinstance(record, dict) else None
        user = hashed(digest) if isinstance(digest, str) else None
        for one in chat(_as_chat(record), position):
            if isinstance(one, BrokenLine):
                yield replace(one, user=user)
                continue
            own = replace(one, user=user, feedback=None, corrected=None)
            yield own if join is None else join.of(own)

    return parse


def _as_chat(record: Any) -> Any:
    """A text completion as a chat of one message."""
    request = record.get("request") if isinstance(record, dict) else None
    if not isinstance(request, dict) or "messages" in request or not isinstance(request.get("prompt"), str):
        return record
    messages = [{"role": "user", "content": request["prompt"]}]
    response = record.get("response")
    response = response if isinstance(response, dict) else {}
    choices = response.get("choices")
    first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    answer = [{"message": {"role": "assistant", "content": first.get("text")}}]
    return {**record, "request": {**request, "messages": messages}, "response": {**response, "choices": answer}}


def _queries(file: LogFile, parse: Parse) -> Iterable[LoggedQuery | BrokenLine]:
    last: datetime | None = None
    try:
        for number, line in _lines(file):
            position = f"{file.name}:{number}"
            if len(line) > MAX_LINE:
                yield BrokenLine(position, Reason.TOO_LONG, _text(line))
                continue
            if not line.endswith(b"\n"):
                if _is_settled(file):
                    yield BrokenLine(position, Reason.TORN, _text(line), last)
                return
            if not line.strip():
                continue
            for one in decoded(line, position, parse):
                last = one.received_at or last
                yield one
    except (OSError, Bomb) as error:
        yield BrokenLine(f"{file.name}:1", Reason.DAMAGED_FILE, f"damaged or cut: {error}")


def _join_all(found: Sequence[LogFile], join: FeedbackJoin) -> None:
    for file in found:
        try:
            for _, data in _lines(file):
                if _FEEDBACK in data[:64] and data.endswith(b"\n") and len(data) <= MAX_LINE:
                    join.add(_decoded(data))
        except (OSError, Bomb):
            continue  # said when its queries are read


def _decoded(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _lines(file: LogFile) -> Iterator[tuple[int, bytes]]:
    """Each line with its number and its line break, which the last may lack.

    Of one that is too long only the beginning is given, that is longer than the limit all the same: none is held whole.
    """
    number, held, skipping = 1, b"", False
    for chunk in chunks(file):
        *whole, held = (held + chunk).split(b"\n")
        for line in whole:
            if not skipping:
                yield number, line + b"\n"
            number, skipping = number + 1, False
        if skipping:
            held = b""
        elif len(held) > MAX_LINE:
            yield number, held
            held, skipping = b"", True
    if held:
        yield number, held


def _is_settled(file: LogFile) -> bool:
    return file.modified is None or datetime.now(UTC) - file.modified >= SETTLED


def _text(line: bytes) -> str:
    return beginning(line[:4096].decode("utf-8", errors="replace"))
