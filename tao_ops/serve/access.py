"""The outermost layer: who may come in, how often, with how much; and errors in the shape of OpenAI's."""

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from tao_ops.config.serve import RequestLimits
from tao_ops.serve.capture.middleware import KEY_NAME
from tao_ops.serve.exchange import ARM, REQUEST_ID, VERSION
from tao_ops.serve.keys import ApiKey, Keys
from tao_ops.serve.limits import Limiter
from tao_ops.serve.metrics import Metrics
from tao_ops.serve.request_ids import RequestIds
from tao_ops.serve.responses import App, Message, Receive, Refused, Scope, Send, header, send_refused
from tao_ops.serve.routes import Door, Route, route_of

LOOPBACK = ("127.0.0.1", "localhost", "::1")
BODY_S = 30.0
"""Longest time that a request's body may take to arrive."""
_DISCARD_S = 2.0
"""How long a body that is refused is read on, so that its client sees the answer instead of a broken connection."""
_WENT_AWAY = 499
_ID = REQUEST_ID.encode()


class Access:
    """Lets requests in to ``app``, an ASGI application.

    Args:
        keys: None where no key is asked for; then a request must be addressed to this machine by a loopback name, so
            that no page in a browser reaches the server through a name of its own.
        ids: names each request; ``scope["state"]`` carries the name on, and that of the key.
        body_s: longest time for a body.
        log: takes a line about an error that nobody expected. It never holds anything of a request.
    """

    def __init__(
        self,
        app: App,
        *,
        keys: Keys | None,
        limits: RequestLimits,
        ids: RequestIds,
        metrics: Metrics,
        body_s: float = BODY_S,
        log: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
    ) -> None:
        self._app, self._keys, self._ids, self._metrics = app, keys, ids, metrics
        self._limiter, self._longest, self._body_s, self._log = Limiter(limits), limits.body_kib * 1024, body_s, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, which always gets a response, unless its client went away."""
        if scope["type"] != "http":
            raise NotImplementedError(f"no {scope['type']} here")
        request_id, route = self._ids.new(), route_of(scope["path"])
        scope.setdefault("state", {}).update(tao_request_id=request_id, tao_key=None)
        watched = _Watched(send, request_id)
        watched.at_end(lambda: self._count(route, watched))
        self._metrics.under_way.inc()
        try:
            await self._let_in(scope, route, receive, watched)
        except Refused as refused:
            self._metrics.refused.labels(refused.code or refused.status).inc()
            await watched.refuse(refused)
        except Exception as error:  # whatever it is: the client gets an answer, and no other request suffers
            self._log(f"error: {request_id}: {type(error).__name__} at {_place(error)}")
            await watched.refuse(Refused(500, "the server failed", code="server_error"))
        finally:
            watched.end()

    async def _let_in(self, scope: Scope, route: Route | None, receive: Receive, send: "_Watched") -> None:
        if route is None:
            raise Refused(404, f"there is no {_short(scope['path'])}", code="unknown_url")
        if scope["method"] not in route.methods:
            allowed = " or ".join(route.methods)
            raise Refused(405, f"{route.name} takes {allowed}", code="method_not_allowed")
        key = self._key(scope, route.door)
        scope["state"]["tao_key"] = scope[KEY_NAME] = None if key is None else key.name
        if not route.limited:
            await self._app(scope, receive, send)
            return
        send.at_end(self._limiter.begin("" if key is None else key.name))
        if route.body:
            receive = await self._whole(scope, receive)
        await self._app(scope, receive, send)

    def _key(self, scope: Scope, door: Door) -> ApiKey | None:
        if door is Door.OPEN:
            return None
        if self._keys is None:
            host = header(scope, b"host")
            if host is not None and _name_of(host) not in LOOPBACK:
                raise Refused(403, "without API keys the server answers to 127.0.0.1 only", code="unknown_host")
            if door is Door.ADMIN:
                raise Refused(403, "no API key of an administrator is configured", code="no_admin_key")
            return None
        scheme, _, given = (header(scope, b"authorization") or "").partition(" ")
        if scheme.lower() != "bearer" or not given.strip():
            raise Refused(401, "send an API key: Authorization: Bearer KEY", code="missing_api_key")
        key = self._keys.find(given.strip())
        if door is Door.ADMIN and (key is None or not key.admin):
            raise Refused(403, "this takes an API key of an administrator", code="no_admin_key")
        if key is None:
            raise Refused(401, "unknown API key", code="invalid_api_key")
        return key

    async def _whole(self, scope: Scope, receive: Receive) -> Receive:
        """The body, in one message; after it the client's later messages, which say when it goes away."""
        kind = (header(scope, b"content-type") or "").partition(";")[0].strip().lower()
        if kind != "application/json":
            # Pages of a browser may send other types to any server without asking it.
            raise Refused(415, "send JSON: Content-Type: application/json", code="unsupported_media_type")
        declared = header(scope, b"content-length") or ""
        if declared.isdecimal() and int(declared[:20]) > self._longest:
            if header(scope, b"expect") is None:
                await _discard(receive, 8 * self._longest)
            raise self._too_long()
        try:
            async with asyncio.timeout(self._body_s):
                body = await self._read(receive)
        except TimeoutError:
            raise Refused(
                408, f"the body took longer than {self._body_s:.0f} s", code="request_timeout", close=True
            ) from None
        return _replayed(body, receive)

    async def _read(self, receive: Receive) -> bytes:
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Refused(400, "the client went away", code="client_disconnected")
            part = message.get("body", b"")
            parts.append(part)
            size += len(part)
            if size > self._longest:
                if message.get("more_body", False):
                    await _discard(receive, 8 * self._longest)
                raise self._too_long()
            if not message.get("more_body", False):
                return b"".join(parts)

    def _too_long(self) -> Refused:
        return Refused(413, f"a body has at most {self._longest} bytes", code="request_too_large", close=True)

    def _count(self, route: Route | None, watched: "_Watched") -> None:
        self._metrics.under_way.dec()
        name, seen = "other" if route is None else route.name, watched.seen
        status = str(seen.status or _WENT_AWAY)
        self._metrics.requests.labels(name, status, seen.arm, seen.version).inc()
        self._metrics.seconds.labels(name, seen.arm).observe(time.perf_counter() - watched.began)
        if seen.first is not None:
            self._metrics.first_byte.labels(name, seen.arm).observe(seen.first - watched.began)


@dataclass
class _Seen:
    status: int = 0
    arm: str = ""
    version: str = ""
    first: float | None = None


class _Watched:
    """``send``, which notes what passes, and sees that every response has an id.

    A request ends before its last bytes go out: a client that has them may send the next one at once.
    """

    def __init__(self, send: Send, request_id: str) -> None:
        self._send, self._request_id = send, request_id
        self._ends: list[Callable[[], None]] = []
        self.began, self.seen = time.perf_counter(), _Seen()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = {bytes(key).lower(): bytes(value) for key, value in message.get("headers", ())}
            if _ID not in headers:
                message = {**message, "headers": [*message.get("headers", ()), (_ID, self._request_id.encode())]}
            self.seen.status = message["status"]
            self.seen.arm = headers.get(ARM.encode(), b"").decode("latin-1")
            self.seen.version = headers.get(VERSION.encode(), b"").decode("latin-1")
        else:
            if self.seen.first is None and message.get("body"):
                self.seen.first = time.perf_counter()
            if not message.get("more_body", False):
                self.end()
        await self._send(message)

    def at_end(self, call: Callable[[], None]) -> None:
        """Call it once, when the request ends in whatever way."""
        self._ends.append(call)

    def end(self) -> None:
        """The request has ended."""
        while self._ends:
            self._ends.pop()()

    async def refuse(self, refused: Refused) -> None:
        """The error, unless a response has begun: then the connection just ends, which its client sees."""
        if not self.seen.status:
            await send_refused(self, refused, self._request_id)


def _replayed(body: bytes, receive: Receive) -> Receive:
    given = False

    async def next_message() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message


async def _discard(receive: Receive, most: int) -> None:
    """Read on for a moment: a connection that is closed with bytes unread is reset, and its answer lost."""
    try:
        async with asyncio.timeout(_DISCARD_S):
            while most > 0:
                message = await receive()
                most -= len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def _name_of(host: str) -> str:
    """A host header's name, without a port.

    >>> _name_of("localhost:8000"), _name_of("[::1]:8000")
    ('localhost', '::1')
    """
    return host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0].lower()


def _short(path: str) -> str:
    return path if len(path) <= 80 else f"{path[:80]}…"


def _place(error: Exception) -> str:
    """File and line, and nothing that the error says: it may hold what a user wrote."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
