"""Chat-completion request/response pairs as JSON lines, plain or gzip.

One line is one call of an OpenAI-compatible server, as its logging middleware writes it::

    {"request_id": "req-…", "received_at": "2026-11-21T08:14:03.120Z",
     "request": {"model": …, "user": …, "messages": [{"role", "content"}, …], "metadata": {"task": …}},
     "response": {"model": …, "choices": [{"message": {"content": …}}]}}

``request`` and ``response`` are the bodies of OpenAI's chat-completions API. ``user``, ``metadata.task`` and
``response`` may be missing.
"""

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tao_ops.errors import DamagedLog, DataError
from tao_ops.records import Message
from tao_ops.tables import Reason


@dataclass(frozen=True)
class LoggedQuery:
    """One logged call, as it was: not redacted yet.

    Attributes:
        position: ``file:line``.
        messages: the conversation up to the last user message, without system messages.
        model_version: the serving model's name for itself; None where no response was logged.
    """

    position: str
    request_id: str
    received_at: datetime
    messages: tuple[Message, ...]
    task: str | None
    user: str | None
    model_version: str | None
    response: str | None


@dataclass(frozen=True)
class BrokenLine:
    """A line that cannot be used, and why.

    Attributes:
        received_at: its time, where it could be read.
    """

    position: str
    reason: Reason
    text: str
    received_at: datetime | None = None


def read(path: Path) -> Iterator[LoggedQuery | BrokenLine]:
    """Each line of one file, in order; blank lines are passed over.

    Raises:
        DamagedLog: a gzip file is damaged, or still being written.
        DataError: the file cannot be read.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield parse(line, f"{path}:{number}")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DamagedLog(
            f"a damaged gzip file: {error}", where=path, mend="let its writer finish, or replace it"
        ) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", where=path) from None


def parse(line: bytes, position: str) -> LoggedQuery | BrokenLine:
    """One line as a query, or the first reason why it is none."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return BrokenLine(position, Reason.NOT_TEXT, line.decode("utf-8", errors="replace"))
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return BrokenLine(position, Reason.NOT_JSON, _readable(text))
    if not isinstance(record, dict):
        return BrokenLine(position, Reason.NOT_JSON, _readable(text))
    if _holds_half_a_character(text, record):
        return BrokenLine(position, Reason.NOT_TEXT, _readable(text))
    received_at = _time(record.get("received_at"))
    if received_at is None:
        return BrokenLine(position, Reason.NO_TIME, _readable(text))
    request_id = record.get("request_id")
    if not isinstance(request_id, str) or not request_id:
        return BrokenLine(position, Reason.NO_REQUEST_ID, _readable(text), received_at)
    request = record.get("request")
    messages = _conversation(request.get("messages")) if isinstance(request, dict) else None
    if not messages or not isinstance(request, dict):
        return BrokenLine(position, Reason.NO_MESSAGES, _readable(text), received_at)
    metadata = request.get("metadata")
    model, answer = _response(record.get("response"))
    return LoggedQuery(
        position=position,
        request_id=request_id,
        received_at=received_at,
        messages=messages,
        task=_text(metadata.get("task")) if isinstance(metadata, dict) else None,
        user=_text(request.get("user")),
        model_version=model,
        response=answer,
    )


def _holds_half_a_character(text: str, record: dict[str, Any]) -> bool:
    """Whether an escape such as ``\\ud83d`` stands alone: JSON allows that, no table and no hash does."""
    if "\\ud" not in text.lower():
        return False
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([nrtbf])|(.))")


def _readable(text: str) -> str:
    """A line of JSON without its escapes, which would hide an address from the redactor."""

    def plain(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16)) if not 0xD800 <= int(match[1], 16) < 0xE000 else " "
        return " " if match[2] else match[3]

    return _ESCAPE.sub(plain, text)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _time(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
        return parsed.astimezone(UTC) if parsed.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _conversation(value: Any) -> tuple[Message, ...] | None:
    if not isinstance(value, list):
        return None
    messages: list[Message] = []
    for message in value:
        if not isinstance(message, dict):
            return None
        role, content = message.get("role"), message.get("content")
        if not isinstance(role, str) or not isinstance(content, str):
            return None
        if role not in ("system", "developer"):
            messages.append({"role": role, "content": content})
    while messages and messages[-1]["role"] != "user":
        messages.pop()
    return tuple(messages) if messages and messages[-1]["content"].strip() else None


def _response(value: Any) -> tuple[str | None, str | None]:
    if not isinstance(value, dict):
        return None, None
    try:
        content = value["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        content = None
    return _text(value.get("model")), content if isinstance(content, str) else None
