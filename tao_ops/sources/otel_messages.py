"""Messages in OpenTelemetry's attributes and events, made those of OpenAI's chat-completions API."""

import re
from collections.abc import Sequence
from typing import Any

from tao_ops.sources.fields import text_or_none
from tao_ops.sources.payloads import decoded, mapping, message_text, request_messages, response_text

Attributes = dict[str, Any]
Event = tuple[Any, Attributes]
"""An event's name and attributes."""

_DEPTH = 32
"""Values nested deeper than this are left out: no message is."""

_INDEXED = re.compile(r"gen_ai\.prompt\.(\d{1,6})\.(role|content|tool_calls)(?:\.|$)")
_MESSAGE = re.compile(r"gen_ai\.(system|user|assistant|tool)\.message")
_SILENT = ("reasoning", "thinking")
"""Types of parts that are no part of the conversation."""


def attributes(value: Any) -> Attributes:
    """OTLP's list of keys and values as an object.

    >>> attributes([{"key": "a", "value": {"intValue": "7"}}, {"key": "b", "value": {"stringValue": "x"}}])
    {'a': '7', 'b': 'x'}
    """
    return _pairs(value, 0)


def _pairs(value: Any, depth: int) -> Attributes:
    pairs = [pair for pair in value if isinstance(pair, dict)] if isinstance(value, list) else []
    return {pair["key"]: _value(pair.get("value"), depth) for pair in pairs if isinstance(pair.get("key"), str)}


def _value(value: Any, depth: int) -> Any:
    if not isinstance(value, dict) or depth > _DEPTH:
        return None
    for key in ("stringValue", "intValue", "doubleValue", "boolValue"):
        if key in value:
            return value[key]
    array, pairs = value.get("arrayValue"), value.get("kvlistValue")
    if isinstance(array, dict) and isinstance(array.get("values"), list):
        return [_value(one, depth + 1) for one in array["values"]]
    return _pairs(pairs.get("values"), depth + 1) if isinstance(pairs, dict) else None


def asked(span: Attributes, events: Sequence[Event]) -> Any:
    """The messages of a span's request, for :func:`tao_ops.sources.fields.conversation`."""
    found = _with_details(span, events)
    instructions = _parts(found.get("gen_ai.system_instructions"))
    system = [{"role": "system", "content": instructions}] if instructions else []
    messages = decoded(found.get("gen_ai.input.messages"))
    if isinstance(messages, list):
        return system + [_message(message) for message in messages]
    indexed = _indexed(found) or [_event(name, body) for name, body in events if _is_message(name)]
    if indexed:
        return system + indexed
    prompt = request_messages(found.get("gen_ai.prompt"))
    return system + prompt if isinstance(prompt, list) else None


def said_back(span: Attributes, events: Sequence[Event]) -> str | None:
    """The text of the first of a span's responses."""
    found = _with_details(span, events)
    messages = decoded(found.get("gen_ai.output.messages"))
    if isinstance(messages, list) and messages:
        return message_text(_texts_only(_message(messages[0])))
    for name, body in events:
        if name == "gen_ai.choice":
            inner = mapping(body.get("gen_ai.event.content")) or body
            return message_text(mapping(inner.get("message")) or inner)
    whole = found.get("gen_ai.completion.0.content")
    return text_or_none(whole) or response_text(found.get("gen_ai.completion"))


def _with_details(span: Attributes, events: Sequence[Event]) -> Attributes:
    """The span's attributes and those of the events that carry a whole request or response."""
    carriers = ("gen_ai.client.inference.operation.details", "gen_ai.content.prompt", "gen_ai.content.completion")
    found: Attributes = {}
    for name, body in events:
        if name in carriers:
            found |= body
    return found | span


def _message(value: Any) -> Any:
    """A message of ``parts`` as one of ``content``."""
    if not isinstance(value, dict) or "parts" not in value:
        return value
    return {**value, "content": _parts(value["parts"])}


def _parts(value: Any) -> Any:
    """Parts of the conventions as those of the API: a text part has ``content`` there, and ``text`` here."""
    found = decoded(value)
    if not isinstance(found, list):
        return found
    return [_part(part) for part in found if not (isinstance(part, dict) and part.get("type") in _SILENT)]


def _part(part: Any) -> Any:
    if isinstance(part, dict) and part.get("type") == "text" and "content" in part:
        return {"type": "text", "text": part["content"]}
    return part


def _texts_only(message: Any) -> Any:
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        return message
    return {"content": [part for part in content if isinstance(part, dict) and part.get("type") == "text"]}


def _indexed(found: Attributes) -> list[dict[str, Any]]:
    """OpenLLMetry's ``gen_ai.prompt.0.role``, ``gen_ai.prompt.0.content``, … in the order of their numbers."""
    messages: dict[int, dict[str, Any]] = {}
    for key, value in found.items():
        if match := _INDEXED.match(key):
            content = decoded(value)
            messages.setdefault(int(match[1]), {})[match[2]] = content if isinstance(content, list) else value
    return [messages[number] for number in sorted(messages)]


def _is_message(name: Any) -> bool:
    return isinstance(name, str) and _MESSAGE.fullmatch(name) is not None


def _event(name: str, body: Attributes) -> dict[str, Any]:
    """An event's message; its attributes are the message, or ``gen_ai.event.content`` holds it as JSON."""
    match = _MESSAGE.fullmatch(name)
    inner = mapping(body.get("gen_ai.event.content")) or body
    return {"role": match[1] if match else None, **inner}
