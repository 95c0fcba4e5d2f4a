"""The ASGI middleware: it lets bytes pass at once, and keeps references to them until the response has ended."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from datetime import UTC, datetime
from time import monotonic, perf_counter, time
from typing import Any

from tao_ops.serve.capture.observing import Observing
from tao_ops.serve.capture.raw import Raw
from tao_ops.serve.capture.sender import Sender
from tao_ops.serve.capture.setup import Setup
from tao_ops.serve.exchange import CAPTURE, Exchange

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

KEY_NAME = "tao.key"
"""In the ASGI scope: the name of the API key, put there by who checked it; the user where the body names none."""

CLOSE_S = 10.0
"""How long the end of the server waits for what is not written yet."""

_CAPTURE = CAPTURE.encode()
_LAST_EVENT = b"data: [DONE]"


class Capture:
    """Writes the chat and text completions that pass.

    Nothing on the request's path is parsed, copied or awaited but the application itself. A record that is longer than
    ``record_kib``, or that finds ``buffer_mib`` of others waiting, is dropped and counted; the response is not touched.

    Args:
        app: any ASGI application.
        setup: None: from the environment (:meth:`Setup.from_env`).
        observers: each is called with every exchange, written or not, one after the other in a thread of their own.
        wanted: whether the observers want any now, asked at each end of a response; None: always. To parse for them
            takes some 300 µs of this process for a stream of 64 chunks, which other requests feel.

    Raises:
        ConfigError: the environment does not say where to write.
    """

    def __init__(
        self,
        app: App,
        setup: Setup | None = None,
        *,
        observers: Sequence[Callable[[Exchange], None]] = (),
        wanted: Callable[[], bool] | None = None,
    ) -> None:
        self.app = app
        self.setup = setup or Setup.from_env()
        self._limit = self.setup.config.record_kib << 10
        self._sender = Sender(self.setup)
        self._observing = Observing(observers) if observers else None
        self._wanted = wanted
        self._passed = {"opted_out": 0, "unanswered": 0, "too_long": 0}

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request, a websocket or the lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif scope["type"] == "http" and scope["method"] == "POST" and scope["path"].endswith("/completions"):
            await self._record(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _record(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        headers = scope["headers"]
        raw = Raw(time(), perf_counter(), scope["path"], headers, scope.get(KEY_NAME))
        for name, value in headers:
            if name == _CAPTURE and value.strip().lower() == b"off":
                self._passed["opted_out"] += 1
                raw.written = False
                if self._observing is None:
                    await self.app(scope, receive, send)
                    return
        limit, ended = self._limit, False

        async def receiving() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                if body := message.get("body"):
                    raw.size += len(body)
                    raw.request.append(body)
                    if raw.size > limit:
                        raw.request.clear()
            elif not ended:
                raw.gone = True
            return message

        def sending(message: Message) -> Awaitable[None]:
            # No coroutine of its own but for the last piece: what is given on is what the server gave.
            if message["type"] == "http.response.body":
                if body := message.get("body"):
                    if not raw.first:
                        raw.first = perf_counter()
                    raw.size += len(body)
                    # The last word of a stream: a client that has it may leave before the body's formal end.
                    if _LAST_EVENT in body[-len(_LAST_EVENT) - 8 :] and not raw.gone:
                        raw.whole = True
                    if raw.size <= limit:
                        raw.body.append(body)
                    else:
                        raw.body.clear()
                if not message.get("more_body", False):
                    return last(message)
            elif message["type"] == "http.response.start":
                raw.status, raw.headers = message["status"], message.get("headers") or ()
            return send(message)

        async def last(message: Message) -> None:
            nonlocal ended
            await send(message)
            if not ended:
                ended = True
                raw.whole = raw.whole or not raw.gone
                self._take(raw)

        try:
            await self.app(scope, receiving, sending)
        finally:
            if not ended:  # the application broke, or was cancelled because the client went away
                ended = True
                self._take(raw)

    def _take(self, raw: Raw) -> None:
        raw.last = perf_counter()
        if raw.size > self._limit:
            self._passed["too_long"] += 1
            return
        if self._observing is not None and (self._wanted is None or self._wanted()):
            self._observing.put(raw)
        if not raw.written:
            return
        if raw.whole and raw.status == 200:
            self._sender.put(raw, raw.size)
        else:
            self._passed["unanswered"] += 1

    async def _lifespan(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        self.start()

        async def sending(message: Message) -> None:
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await asyncio.to_thread(self.close)  # before the server hears of it: then its loop ends
            await send(message)

        await self.app(scope, receive, sending)

    def start(self) -> None:
        """Start the writer now rather than with the first record."""
        self._sender.start()

    def flush(self, limit_s: float = CLOSE_S) -> bool:
        """Wait until all that was captured before this call is on the disk; whether it is. Blocks."""
        return self._sender.flush(limit_s)

    def close(self, limit_s: float = CLOSE_S) -> bool:
        """Write what is left and end the writer; whether all of it was written in time. Blocks."""
        end = monotonic() + limit_s
        whole = self._sender.close(limit_s)
        if self._observing is not None:
            self._observing.close(max(0.0, end - monotonic()))
        return whole

    def write_feedback(self, request_id: str, *, feedback: str | None = None, corrected: str | None = None) -> bool:
        """Write what a user says of an answer, through the same pipe; belongs to the server's event loop.

        Args:
            request_id: as in the answer's header.
            feedback: ``up`` or ``down``.
            corrected: the answer as it should have been; redacted before it is written.

        Returns:
            Whether it was taken; not where the buffer is full.
        """
        told = {
            "kind": "feedback",
            "request_id": request_id,
            "received_at": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "feedback": feedback,
            "corrected": corrected,
        }
        return self._sender.put(told, len(corrected or "") * 4)

    def counts(self) -> Mapping[str, int]:
        """What came of the records; of a name with a dot, what follows is the reason.

        ==================== ===================================================================================
        ``captured``         records and feedback that were handed to the writer
        ``synced``           of them, those that the writer has dealt with, on the disk where they are written
        ``written``          lines in segments, and ``bytes`` of them
        ``dropped.full``     the buffer was full, or the server ended first
        ``dropped.too_long`` longer than ``record_kib``
        ``dropped.lost``     two writers died with it
        ``left.opted_out``   the request's header said so
        ``left.unanswered``  no status 200, cut off, or a stream that ended with an error
        ``left.not_sampled`` the user is not in the sample
        ``left.shadow``      the answer went to nobody
        ``left.unreadable``  bodies that are no completion: no JSON, an unknown compression
        ``left.unobserved``  observers were too slow for it, failed at it, or it could not be read
        ``restarts``         writers that died and were started again
        ==================== ===================================================================================
        """
        passed = self._passed
        counts = dict(self._sender.counts())
        counts["dropped.too_long"] = counts.get("dropped.too_long", 0) + passed["too_long"]
        counts["left.opted_out"] = passed["opted_out"]
        counts["left.unanswered"] = counts.get("left.unanswered", 0) + passed["unanswered"]
        counts["left.unobserved"] = self._observing.missed if self._observing is not None else 0
        return counts
