"""Hands a request to the engine of its lane, and the engine's bytes to the client as they come."""

import asyncio
import json
from collections.abc import AsyncGenerator, MutableMapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

import httpx

from tao_ops.backends.vllm_server import MODEL_HEADER
from tao_ops.errors import EngineError
from tao_ops.serve.exchange import ARM, MODEL, REQUEST_ID, TASK, VERSION
from tao_ops.serve.lanes import Lane, Lanes, Served
from tao_ops.serve.metrics import Metrics
from tao_ops.serve.request_ids import RequestIds
from tao_ops.serve.responses import Headers, Refused, Send, send_bytes

RESTART_S = 300.0
"""Longest time that a request waits for an engine that broke, or for a change of weights that drags on."""
RETRY_AFTER_S = 5.0
_ASKED = 2
"""How often a request is handed to an engine: once more where the first one broke before a byte went out."""
_POLL_S = 0.1
_DYING_S = 2.0
"""An engine that died answers with 500 for a moment, until its process has ended: only then another is asked."""
_GATE_S = 1.0
"""How long a request waits at one gate before it looks again which lane is its own: a canary's may be gone."""
_CONNECTIONS = 1024
_CONNECT_S = 5.0
"""Longest wait for one of them."""
_STALLED_S = 30.0
"""A client that takes nothing for so long is given up: what it holds keeps the model from being changed."""
_IDLE_S = 2.0
"""Idle connections are closed before the engine does so (after 5 s), or a request could meet a closed one."""


@dataclass(frozen=True)
class Ask:
    """One request, as an engine gets it.

    Attributes:
        path: the engine's.
        body: of it, JSON.
        user: by whom the lane is chosen.
        request_id: without a signature.
        state: the ASGI scope's; ``tao_trim`` is set in it where the client did not ask for the stream's last chunk.
        stream: whether the response comes in events.
        usage: whether the client asked for the tokens at a stream's end.
    """

    path: str
    body: MutableMapping[str, Any]
    user: str
    request_id: str
    task: str
    state: MutableMapping[str, Any]
    stream: bool = False
    usage: bool = False


class _Broken(Exception):
    """The engine failed, and nothing has been sent."""

    def __init__(self, *, reached: bool, wait_s: float = _POLL_S) -> None:
        """``reached`` says that it may have been this request that made it fail."""
        self.reached, self.wait_s = reached, wait_s


class _Stalled(Exception):
    """The client takes nothing any more."""


class Proxy:
    """Belongs to the server's event loop.

    Args:
        seconds: longest time of one request, with all its waits.
        restart_s: of that, for an engine that is not there.
    """

    def __init__(
        self, lanes: Lanes, ids: RequestIds, metrics: Metrics, *, seconds: float, restart_s: float = RESTART_S
    ) -> None:
        self._lanes, self._ids, self._metrics = lanes, ids, metrics
        self._seconds, self._restart_s = seconds, min(restart_s, seconds)
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=_CONNECT_S, pool=_CONNECT_S, write=30.0),
            limits=httpx.Limits(
                max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS, keepalive_expiry=_IDLE_S
            ),
            trust_env=False,  # an engine is on this machine: no proxy stands before it
            headers={"accept-encoding": "identity", "user-agent": "tao"},
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def answer(self, ask: Ask, send: Send) -> None:
        """Answer a request; one whose client reads no more is left without an end.

        A cancellation closes the engine's connection, by which vLLM knows that it may stop sampling.

        Raises:
            Refused: 503, no engine is ready or answers; 502, it failed on this request, twice; 504, it took too long.
        """
        with suppress(_Stalled):
            await self._in_time(ask, _Started(send))

    async def _in_time(self, ask: Ask, started: "_Started") -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self._answer(ask, started)
        except TimeoutError:
            late = Refused(504, f"no answer within {self._seconds:.0f} s", code="timeout", again=False)
            if not started.began:
                late.served = self._who(ask)
                raise late from None
            await _end(started, late, stream=ask.stream)
        except Refused as refused:
            refused.served = self._who(ask)
            raise

    async def engine_metrics(self) -> dict[str, str]:
        """The text of each engine's own metrics, by arm; of one that does not answer in time nothing."""
        lanes = [lane for lane in (self._lanes.champion, self._lanes.candidate) if lane is not None]
        found = await asyncio.gather(*(self._metrics_of(lane) for lane in lanes))
        self._metrics.up.clear()
        for lane, text in zip(lanes, found, strict=True):
            self._metrics.up.labels(lane.arm.value).set(text is not None)
        return {lane.arm.value: text for lane, text in zip(lanes, found, strict=True) if text is not None}

    async def _metrics_of(self, lane: Lane) -> str | None:
        try:
            response = await self._http.get(f"{lane.url}/metrics", headers=_key(lane), timeout=2.0)
        except httpx.HTTPError:
            return None
        return response.text if response.status_code == 200 else None

    async def _answer(self, ask: Ask, send: "_Started") -> None:
        loop = asyncio.get_running_loop()
        asked, until = 0, loop.time() + self._restart_s
        if self._lanes.of(ask.user) is None:
            raise _unavailable("no model is ready yet")
        while True:
            lane = self._lanes.of(ask.user)
            try:
                if lane is None:
                    raise _Broken(reached=False)
                async with lane.request(max(0.0, min(_GATE_S, until - loop.time()))) as served:
                    await self._once(lane, served, ask, send)
                    return
            except EngineError as error:  # the gate stayed closed
                if loop.time() >= until:
                    raise _unavailable(error.what) from None
                continue
            except _Broken as broken:
                asked, wait_s = asked + broken.reached, broken.wait_s
                self._metrics.tried_again.inc(broken.reached and asked < _ASKED)
            if asked >= _ASKED:  # it may be this request that breaks it: a third engine is not risked
                raise Refused(502, "the engine failed on this request, twice", code="engine_failed", again=False)
            if loop.time() + wait_s > until:
                raise _unavailable("the engine does not answer")
            await asyncio.sleep(wait_s)

    async def _once(self, lane: Lane, served: Served, ask: Ask, send: "_Started") -> None:
        """Hand the request to an engine.

        Raises:
            _Broken: it failed before anything was sent.
        """
        content = json.dumps(ask.body, ensure_ascii=False).encode()
        headers = {**_key(lane), "content-type": "application/json", REQUEST_ID: self._ids.signed(ask.request_id)}
        try:
            async with self._http.stream("POST", f"{lane.url}{ask.path}", content=content, headers=headers) as response:
                self._check(response, served)
                answered = response.status_code == 200
                request_id = self._ids.signed(ask.request_id) if answered else ask.request_id
                told = [(REQUEST_ID.encode(), request_id.encode()), *_headers(lane, served, ask)]
                if ask.stream and answered:
                    await self._stream(response, ask, told, send)
                else:
                    await _whole(response, told, send)
        except httpx.PoolTimeout:  # all connections are taken, which is no engine's fault
            raise _Broken(reached=False) from None
        except httpx.HTTPError as error:
            self._metrics.broken.inc()
            if not send.began:
                raise _Broken(reached=not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)) from None
            await _end(send, Refused(503, "the engine broke off", code="engine_broken"), stream=ask.stream)
        if lane.served is not served:  # the gate keeps this from happening
            self._metrics.mixed.inc()

    def _check(self, response: httpx.Response, served: Served) -> None:
        if response.status_code == 501:
            return
        if response.status_code >= 500:
            self._metrics.broken.inc()
            # 503: its weights are being changed or are broken, whatever it is asked.
            raise _Broken(reached=response.status_code != 503, wait_s=_DYING_S)
        if response.status_code == 200 and response.headers.get(MODEL_HEADER) != served.model_version:
            self._metrics.mixed.inc()
            raise _Broken(reached=True)

    async def _stream(self, response: httpx.Response, ask: Ask, headers: Headers, send: "_Started") -> None:
        """Begins with the engine's first bytes, and not before: until then another engine may be asked."""
        ask.state["tao_trim"] = not ask.usage
        async with aclosing(_pieces(response)) as pieces:
            async for piece in pieces:
                if not send.began:
                    told = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
                    await send({"type": "http.response.start", "status": 200, "headers": [*told, *headers]})
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        if not send.began:
            raise httpx.RemoteProtocolError("an empty stream")
        await send({"type": "http.response.body", "body": b""})

    def _who(self, ask: Ask) -> Headers:
        """Whose the failure is."""
        lane = self._lanes.of(ask.user)
        return [] if lane is None else _headers(lane, lane.served, ask)


class _Started:
    """``send``, which knows whether a response began."""

    def __init__(self, send: Send) -> None:
        self._send, self.began = send, False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        self.began = True
        try:
            async with asyncio.timeout(_STALLED_S):
                await self._send(message)
        except TimeoutError:
            raise _Stalled from None


async def _whole(response: httpx.Response, headers: Headers, send: Send) -> None:
    """The whole body, once all of it is there; of an error only what is one in OpenAI's shape."""
    body = await response.aread()
    status = response.status_code
    if status != 200:
        refused = _refused(status, body)
        body, status = json.dumps(refused.body).encode(), refused.status
        headers = [*refused.headers, *headers]
    await send_bytes(send, status, body, b"application/json", headers)


def _refused(status: int, body: bytes) -> Refused:
    """What vLLM says is wrong with a request; without what it quotes of it where that is long."""
    try:
        error = json.loads(body)["error"]
        message, param = str(error["message"])[:1000], error.get("param")
    except (ValueError, KeyError, TypeError, RecursionError):
        message, param = f"the engine answered with status {status}", None
    known = status if 400 <= status < 500 and status not in (401, 403, 407) else 400
    return Refused(known, message, code="engine_refused", param=param if isinstance(param, str) else None)


async def _end(send: Send, refused: Refused, *, stream: bool) -> None:
    """End a stream that has begun with an event that says why; clients raise it as an error."""
    event = b"data: " + json.dumps(refused.body).encode() + b"\n\n" if stream else b""
    await send({"type": "http.response.body", "body": event})


async def _pieces(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    async for piece in response.aiter_raw():
        if piece:
            yield piece


def _headers(lane: Lane, served: Served, ask: Ask) -> Headers:
    told = {VERSION: str(served.version), MODEL: served.model_version, ARM: lane.arm.value, TASK: ask.task}
    return [(name.encode(), value.encode()) for name, value in told.items()]


def _key(lane: Lane) -> dict[str, str]:
    return {"authorization": f"Bearer {lane.key}"}


def _unavailable(why: str) -> Refused:
    return Refused(503, f"{why}: try again in a moment", code="unavailable", retry_after=RETRY_AFTER_S)
