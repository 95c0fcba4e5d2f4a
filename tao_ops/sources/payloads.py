"""Requests and responses as gateways and tracing tools log them: in whatever shape the caller had."""

import json
from datetime import datetime
from typing import Any

from tao_ops.sources.fields import answer, iso_time, text_or_none


def decoded(value: Any) -> Any:
    """A list or an object that was logged as a text of JSON; anything else as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def mapping(value: Any) -> dict[str, Any]:
    """An object, plain or as a text of JSON; an empty one for anything else."""
    found = decoded(value)
    return found if isinstance(found, dict) else {}


def words(value: Any) -> tuple[str, ...]:
    """A list of texts, plain or as a text of JSON, without what is none; a single text is one word."""
    found = decoded(value)
    every = found if isinstance(found, list) else [found]
    return tuple(word for word in every if text_or_none(word))


def labels(value: Any) -> tuple[str, ...]:
    """An object's texts as ``key=value``."""
    return tuple(f"{key}={text}" for key, text in mapping(value).items() if text_or_none(key) and text_or_none(text))


def request_messages(value: Any) -> Any:
    """The messages of a request, for :func:`tao_ops.sources.fields.conversation`; None where there are none.

    A request is a chat-completions body (``messages``), one of the Responses API (``input``, ``instructions``), a list
    of messages, one message, a text, or an object whose only value is a text; each plain or as a text of JSON.
    """
    found = decoded(value)
    if isinstance(found, str):
        return _said(found)
    if not isinstance(found, dict):
        return found
    if "role" in found:
        return [found]
    if found.get("messages"):
        return decoded(found["messages"])
    said, instructions = decoded(found.get("input")), text_or_none(found.get("instructions"))
    if isinstance(said, (str, list)):
        system = [{"role": "system", "content": instructions}] if instructions else []
        return system + (said if isinstance(said, list) else _said(said))
    values = list(found.values())
    return _said(values[0]) if len(values) == 1 and isinstance(values[0], str) else None


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def response_text(value: Any) -> str | None:
    """The text of a response; None where there is none.

    A response is a chat-completions body (its first choice), one of the Responses API (``output``), a message, a list
    of messages (the last one's), or a text; each plain or as a text of JSON.
    """
    found = decoded(value)
    if isinstance(found, str):
        return text_or_none(found)
    if isinstance(found, list):
        return message_text(found[-1]) if found else None
    if not isinstance(found, dict):
        return None
    if "choices" in found:
        return answer(found)
    output = found.get("output")
    if isinstance(output, list):
        spoken = [message_text(item) for item in output if isinstance(item, dict) and item.get("type") == "message"]
        return "\n".join(text for text in spoken if text) or None
    return message_text(found)


def message_text(value: Any) -> str | None:
    """The text of one message: its ``content``, or the text parts of it, joined by line breaks."""
    content = value.get("content") if isinstance(value, dict) else value
    if isinstance(content, list):
        texts = [text_or_none(part.get("text")) for part in content if isinstance(part, dict)]
        return "\n".join(text for text in texts if text) or None
    return text_or_none(content)


def utc_time(value: Any) -> datetime | None:
    """An ISO 8601 instant, in UTC where it has no zone: for formats that say so of their times."""
    return iso_time(value) or (iso_time(f"{value}+00:00") if isinstance(value, str) else None)
