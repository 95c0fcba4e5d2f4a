"""What log formats have in common: times, texts and conversations, read from decoded JSON."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from tao_ops.records import Message
from tao_ops.tables import Reason

EXCERPT, _CUT = 4000, 256
"""Characters of a broken record that are looked at for its excerpt; and at a cut, which may halve an address."""

NonText = Literal["quarantine", "strip"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SYSTEM = ("system", "developer")
_TOOL = ("tool", "function")
ROLES = ("user", "assistant", *_SYSTEM, *_TOOL)
"""The roles of the chat-completions API: another word there is no role, and nobody would redact it."""

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([nrtbf])|(.))")


@dataclass(frozen=True)
class Conversation:
    """The messages of a request.

    Attributes:
        messages: up to the last user message, without system messages; never empty.
        system: the system and developer messages, joined by a blank line.
    """

    messages: tuple[Message, ...]
    system: str | None


def conversation(value: Any, non_text: NonText) -> Conversation | Reason:
    """The messages of OpenAI's chat-completions API, or why they are no query.

    A content is a text, or a list of parts of which those of type ``text`` (``input_text``, ``output_text``) are
    joined by line breaks. Other parts, tool calls and messages of role ``tool`` or ``function`` are refused, or left
    out where ``non_text`` is ``strip``.
    """
    if not isinstance(value, list):
        return Reason.NO_MESSAGES
    messages: list[Message] = []
    system: list[str] = []
    for message in value:
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            return Reason.NO_MESSAGES
        content = _content(message, non_text)
        if isinstance(content, Reason):
            return content
        if message["role"] in _SYSTEM:
            system.append(content or "")
        elif content is not None:
            messages.append({"role": message["role"], "content": content})
    while messages and messages[-1]["role"] != "user":
        messages.pop()
    if not messages or not messages[-1]["content"].strip():
        return Reason.NO_MESSAGES
    texts = [m["role"] + m["content"] for m in messages] + system
    if not all(is_text(text) for text in texts):
        return Reason.NOT_TEXT
    return Conversation(tuple(messages), "\n\n".join(system) if system else None)


def _content(message: dict[str, Any], non_text: NonText) -> str | Reason | None:
    """A message's text; None where nothing of it is text and that is left out."""
    strip = non_text == "strip"
    content = message.get("content")
    if message["role"] in _TOOL:
        return None if strip else Reason.NON_TEXT_CONTENT
    if (message.get("tool_calls") or message.get("function_call")) and not strip:
        return Reason.NON_TEXT_CONTENT
    if isinstance(content, str):
        return content
    if content is None and message["role"] == "assistant":
        return None if strip else Reason.NON_TEXT_CONTENT
    if not isinstance(content, list):
        return Reason.NO_MESSAGES
    texts = [_part(part) for part in content]
    if None in texts and not strip:
        return Reason.NON_TEXT_CONTENT
    found = [text for text in texts if text is not None]
    return "\n".join(found) if found else None


def _part(part: Any) -> str | None:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and part.get("type") in ("text", "input_text", "output_text"):
        return text_or_none(part.get("text"))
    return None


def answer(value: Any) -> str | None:
    """The text of the first choice of a chat-completion response."""
    try:
        content = value["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        return None
    return content if isinstance(content, str) and is_text(content) else None


def text_or_none(value: Any) -> str | None:
    """``value`` where it is a text that is not empty."""
    return value if isinstance(value, str) and value and is_text(value) else None


UP = ("up", "thumbs_up", "positive", "good", "like", "true", "1")
DOWN = ("down", "thumbs_down", "negative", "bad", "dislike", "false", "0", "-1")
"""Words for a user's verdict on a response, compared without case."""


def feedback(value: Any) -> str | None:
    """A user's verdict on a response, ``up`` or ``down``; None for what is neither.

    >>> feedback("Thumbs_Up"), feedback(-1), feedback(False), feedback("meh")
    ('up', 'down', 'down', None)
    """
    word = str(value).lower() if isinstance(value, (str, bool, int)) else ""
    return "up" if word in UP else "down" if word in DOWN else None


def is_text(text: str) -> bool:
    """Whether a table and a hash can hold it: no half of a character, no NUL."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def iso_time(value: Any) -> datetime | None:
    """An ISO 8601 instant with a zone, in UTC."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
        return parsed.astimezone(UTC) if parsed.tzinfo else None
    except (ValueError, OverflowError):
        return None


def epoch_time(value: Any, *, per_second: int = 1) -> datetime | None:
    """A count of seconds (or of ``per_second``-th parts of one) since 1970, a number or digits, in UTC."""
    if isinstance(value, str):
        try:
            value = int(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        if isinstance(value, int):  # whole microseconds: a float would lose the last of them
            return _EPOCH + timedelta(microseconds=value * 1_000_000 // per_second)
        return _EPOCH + timedelta(seconds=value / per_second)
    except (OverflowError, ValueError):
        return None


def readable(text: str) -> str:
    """A line of JSON without its escapes, which would hide an address from the redactor."""

    def plain(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16)) if not 0xD800 <= int(match[1], 16) < 0xE000 else " "
        return " " if match[2] else match[3]

    return _ESCAPE.sub(plain, text)


def shown(record: Any) -> str:
    """A decoded record as a text for the quarantine's excerpt: its beginning, as a table can hold it."""
    try:
        text = record if isinstance(record, str) else json.dumps(record, ensure_ascii=False)
    except RecursionError:
        text = "nested too deep to be shown"
    return beginning(text)


def beginning(text: str) -> str:
    """The beginning of a broken record or line, to be redacted and cut: longer than what is kept of it."""
    return cleaned(readable(text if len(text) <= EXCERPT else text[: EXCERPT - _CUT]))


def cleaned(text: str) -> str:
    """``text`` without what no table holds: halves of characters, NULs."""
    return text.encode("utf-8", errors="replace").decode("utf-8").replace("\0", " ")
