"""From the bytes that passed to an exchange: JSON, compressed bodies, streams of server-sent events."""

import json
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from tao_ops.serve.exchange import Arm, Exchange

SWELLS = 16
"""A compressed body may be so many times its size; completions come to five."""

_SMALLEST_LIMIT = 1 << 20
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class Unreadable(Exception):
    """The bodies are no completion."""


def exchange_of(told: dict[str, Any], request: bytes, body: bytes) -> Exchange:
    """The exchange of a frame's parts.

    Args:
        told: as :meth:`tao_ops.serve.capture.raw.Raw.told` gives it.

    Raises:
        Unreadable: an answered request whose bodies are no JSON objects, or are compressed in a way nobody here knows.
    """
    answered = told["whole"] and told["status"] == 200
    try:
        asked = _object(_decompressed(request, told.get("request_encoding") or ""))
    except Unreadable:
        if answered:
            raise
        asked = {}
    whole = told["whole"]
    response: dict[str, Any] | None = None
    try:
        plain = _decompressed(body, told.get("encoding") or "")
        if told.get("type", "").startswith("text/event-stream"):
            response, ended = assembled(plain)
            whole = whole and ended
        else:
            response = _object(plain)
    except Unreadable:
        if answered:
            raise
    usage = response.get("usage") if response is not None else None
    usage = usage if isinstance(usage, dict) else {}
    user = _text(asked.get("user")) or _text(asked.get("safety_identifier")) or told.get("key")
    return Exchange(
        request_id=told.get("request_id") or _text((response or {}).get("id")) or told.get("made_id") or "",
        received_at=datetime.fromtimestamp(told["at"], UTC),
        route=told["route"],
        status=told["status"],
        request=asked,
        response=response,
        whole=whole,
        user=user,
        task=told.get("task") or _task(asked),
        arm=_arm(told.get("arm")),
        version=_number(told.get("version")),
        model_version=told.get("model_version"),
        seconds=told["seconds"],
        first_seconds=told["first_seconds"],
        prompt_tokens=_count(usage.get("prompt_tokens")),
        tokens=_count(usage.get("completion_tokens")),
    )


def assembled(stream: bytes) -> tuple[dict[str, Any] | None, bool]:
    """One response body out of a stream's chunks, of chat or text completions.

    Returns:
        The body, None where no chunk came, with ``error`` where the stream told of one; and whether it came to its end
        without an error.

    >>> chunk = b'data: {"id": "a", "choices": [{"index": 0, "delta": {"content": "%s"}}]}\\n\\n'
    >>> body, ended = assembled(chunk % b"Hel" + chunk % b"lo" + b"data: [DONE]\\n\\n")
    >>> body["choices"][0]["message"]["content"], ended
    ('Hello', True)
    """
    body: dict[str, Any] | None = None
    choices: dict[int, dict[str, Any]] = {}
    for data in _events(stream):
        if data == b"[DONE]":
            return _joined(body, choices), body is not None
        chunk = _object(data)
        if "error" in chunk:
            # Kept, so that a break by the engine is told from a client that went away.
            return {**(_joined(body, choices) or {"choices": []}), "error": chunk["error"]}, False
        if body is None:
            body = {key: chunk[key] for key in ("id", "created", "model") if key in chunk}
        if isinstance(chunk.get("usage"), dict):
            body["usage"] = chunk["usage"]
        for choice in choices_of(chunk):
            _add(choices, choice)
    return _joined(body, choices), False


def choices_of(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The choices of a body or a chunk; what is none is left out.

    >>> choices_of({"choices": [{"index": 0}, None]}), choices_of({"choices": 5})
    ([{'index': 0}], [])
    """
    found = body.get("choices")
    return [choice for choice in found if isinstance(choice, dict)] if isinstance(found, list) else []


def _events(stream: bytes) -> Iterator[bytes]:
    """The data of each event; a stream's events are lines with an empty line after them (WHATWG HTML, 9.2)."""
    data: list[bytes] = []
    for line in stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        if line.startswith(b"data:"):
            data.append(line[6:] if line[5:6] == b" " else line[5:])
        elif not line and data:
            yield b"\n".join(data)
            data = []


def _add(choices: dict[int, dict[str, Any]], choice: dict[str, Any]) -> None:
    index = choice.get("index")
    one = choices.setdefault(index if isinstance(index, int) else 0, {"texts": [], "tools": False})
    if choice.get("finish_reason") is not None:
        one["finish_reason"] = choice["finish_reason"]
    if isinstance(choice.get("text"), str):
        one["texts"].append(choice["text"])
        one["plain"] = True
    delta = choice.get("delta")
    if isinstance(delta, dict):
        if isinstance(delta.get("content"), str):
            one["texts"].append(delta["content"])
        one["tools"] |= bool(delta.get("tool_calls") or delta.get("function_call"))


def _joined(body: dict[str, Any] | None, choices: dict[int, dict[str, Any]]) -> dict[str, Any] | None:
    if body is None:
        return None
    made = []
    for index, one in sorted(choices.items()):
        text = "".join(one["texts"])
        choice: dict[str, Any] = {"index": index, "finish_reason": one.get("finish_reason")}
        if one.get("plain"):
            choice["text"] = text
        else:
            choice["message"] = {"role": "assistant", "content": text if text or not one["tools"] else None}
            if one["tools"]:
                choice["message"]["tool_calls"] = [{"type": "function"}]
        made.append(choice)
    plain = any(one.get("plain") for one in choices.values())
    return {"object": "text_completion" if plain else "chat.completion", **body, "choices": made}


def _decompressed(data: bytes, encoding: str) -> bytes:
    for codec in reversed([one.strip().lower() for one in encoding.split(",")]):
        if codec in ("", "identity"):
            continue
        limit = max(SWELLS * len(data), _SMALLEST_LIMIT)
        if codec in ("gzip", "x-gzip", "deflate"):
            data = _inflated(data, limit)
        elif codec in ("br", "zstd"):
            data = _by_arrow(data, {"br": "brotli"}.get(codec, codec), limit)
        else:
            raise Unreadable(codec)
    return data


def _inflated(data: bytes, limit: int) -> bytes:
    for window in (_GZIP_OR_ZLIB, -zlib.MAX_WBITS):  # "deflate" is either with zlib's head or without
        stream = zlib.decompressobj(window)
        try:
            plain = stream.decompress(data, limit)
        except zlib.error:
            continue
        if stream.eof:
            return plain
    raise Unreadable("gzip")


def _by_arrow(data: bytes, codec: str, limit: int) -> bytes:
    import pyarrow as pa

    try:
        with pa.CompressedInputStream(pa.BufferReader(data), codec) as stream:
            plain: bytes = stream.read(limit)
            if stream.read(1):
                raise Unreadable(codec)
            return plain
    except OSError:
        raise Unreadable(codec) from None


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise Unreadable("no JSON") from None
    if not isinstance(value, dict):
        raise Unreadable("no JSON object")
    return value


def _task(request: dict[str, Any]) -> str | None:
    metadata = request.get("metadata")
    return _text(metadata.get("task")) if isinstance(metadata, dict) else None


def _arm(value: str | None) -> Arm:
    return Arm(value) if value in list(Arm) else Arm.CHAMPION


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: str | None) -> int | None:
    return int(value) if value and value.isascii() and value.isdigit() else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
