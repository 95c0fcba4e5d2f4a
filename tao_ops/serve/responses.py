"""What the server says itself: JSON, and errors in the shape that OpenAI's clients read."""

import json
import math
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from tao_ops.serve.exchange import REQUEST_ID

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    429: "rate_limit_error",
}
"""By status; any other below 500 is ``invalid_request_error``, from there on ``server_error``."""


class Refused(Exception):
    """A request that gets no answer, and why.

    Args:
        status: HTTP's.
        message: for the client; it holds nothing of another one's.
        code: a word for programs.
        param: the field of the body that is wrong.
        retry_after: seconds until it may be tried again.
        close: whether the connection ends with it, since not all of the body was read.
        again: False tells a client that it need not try again, where the status alone would make it.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        close: bool = False,
        again: bool = True,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.retry_after, self.close, self.again = retry_after, close, again
        self.served: Headers = []
        """Who should have answered, where that is known."""

    @property
    def body(self) -> dict[str, Any]:
        """``{"error": {"message", "type", "param", "code"}}``.

        >>> Refused(429, "too many", code="rate_limit_exceeded").body["error"]["type"]
        'rate_limit_error'
        """
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def headers(self) -> Headers:
        """What goes with it."""
        found: Headers = [*self.served]
        if self.retry_after is not None:
            found.append((b"retry-after", str(max(1, math.ceil(self.retry_after))).encode()))
        if self.status == 401:
            found.append((b"www-authenticate", b"Bearer"))
        if self.close:
            found.append((b"connection", b"close"))
        if not self.again:
            found.append((b"x-should-retry", b"false"))
        return found


async def send_json(send: Send, status: int, body: Any, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """A whole response."""
    await send_bytes(send, status, json.dumps(body).encode(), b"application/json", headers)


async def send_bytes(
    send: Send, status: int, body: bytes, content_type: bytes, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """A whole response of any type."""
    told = [(b"content-type", content_type), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})


async def send_refused(send: Send, refused: Refused, request_id: str | None = None) -> None:
    """The error's response; its id is unsigned, since nothing was answered."""
    named = [(REQUEST_ID.encode(), request_id.encode())] if request_id is not None else []
    await send_json(send, refused.status, refused.body, [*refused.headers, *named])


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of a request by its lower-case name."""
    found: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return next((value.decode("latin-1") for key, value in found if key.lower() == name), None)
