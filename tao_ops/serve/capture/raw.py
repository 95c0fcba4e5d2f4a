"""A request and its response as they passed, and how both travel through the pipe to the writer."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_HEAD = struct.Struct(">III")
"""Lengths of the three parts of a frame: what is told about it, the request's body, the response's."""

_KEPT = {
    b"content-type": "type",
    b"content-encoding": "encoding",
    b"x-request-id": "request_id",
    b"x-tao-version": "version",
    b"x-tao-model": "model_version",
    b"x-tao-arm": "arm",
    b"x-tao-task": "task",
}


class Raw:
    """What the middleware holds of one request: references to the bytes that passed, nothing parsed.

    Attributes:
        at: when it came in, seconds since 1970; ``began``, ``first`` and ``last`` are on the monotonic clock.
        size: bytes of both bodies.
        whole: whether the response, or a stream's last event, came while the client was there.
        written: whether it is to be written; observers see it all the same.
    """

    __slots__ = (
        "at", "began", "body", "first", "gone", "headers", "key", "last", "request", "request_headers", "route", "size",
        "status", "whole", "written",
    )  # fmt: skip

    def __init__(self, at: float, began: float, route: str, request_headers: Any, key: str | None) -> None:
        self.at, self.began, self.route, self.request_headers, self.key = at, began, route, request_headers, key
        self.first, self.last = 0.0, began
        self.request: list[bytes] = []
        self.body: list[bytes] = []
        self.headers: Any = ()
        self.size = self.status = 0
        self.whole = self.gone = False
        self.written = True

    def told(self) -> dict[str, Any]:
        """All but the bodies, as plain values."""
        headers = {_KEPT[name.lower()]: value for name, value in self.headers if name.lower() in _KEPT}
        asked = {name.lower(): value for name, value in self.request_headers}
        return {
            "at": self.at,
            "route": self.route,
            "status": self.status,
            "whole": self.whole,
            "seconds": round(self.last - self.began, 6),
            "first_seconds": round(self.first - self.began, 6) if self.first else None,
            "key": self.key,
            "request_encoding": asked.get(b"content-encoding", b"").decode("latin-1"),
            **{name: value.decode("latin-1") for name, value in headers.items()},
        }


@dataclass(frozen=True)
class Frame:
    """One unit of the pipe.

    Attributes:
        told: ``kind`` (``setup``, ``exchange``, ``feedback``), ``seq``, and all that is no body.
    """

    told: dict[str, Any]
    request: bytes = b""
    body: bytes = b""


def packed(told: dict[str, Any], request: bytes = b"", body: bytes = b"") -> bytes:
    """A frame's bytes."""
    text = json.dumps(told).encode()
    return b"".join((_HEAD.pack(len(text), len(request), len(body)), text, request, body))


class Frames:
    """Takes bytes as a pipe gives them, and gives whole frames."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole now; what is left waits for the next call."""
        held, at = self._held, 0
        held += data
        while len(held) - at >= _HEAD.size:
            told, request, body = _HEAD.unpack_from(held, at)
            start = at + _HEAD.size
            end = start + told + request + body
            if end > len(held):
                break
            middle = start + told + request
            yield Frame(
                json.loads(held[start : start + told]), bytes(held[start + told : middle]), bytes(held[middle:end])
            )
            at = end
        del held[:at]
