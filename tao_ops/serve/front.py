"""The server's own application: one function for each address."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Protocol

from tao_ops.serve import bodies
from tao_ops.serve.exchange import ARM, MODEL, VERSION
from tao_ops.serve.lanes import Lanes
from tao_ops.serve.metrics import CONTENT_TYPE, Metrics
from tao_ops.serve.prompting import Prompting, user_of
from tao_ops.serve.proxy import RETRY_AFTER_S, Ask, Proxy
from tao_ops.serve.responses import App, Headers, Receive, Refused, Scope, Send, send_bytes, send_json, send_refused
from tao_ops.serve.routes import CHAT, COMPLETIONS, FEEDBACK, HEALTH, METRICS, MODELS, RECONCILE, STATUS


class Upkeep(Protocol):
    """What keeps the lanes on the champion, as far as the front asks it."""

    @property
    def waiting_for(self) -> str | None:
        """Why no model is ready; None where one is."""
        ...

    def status(self) -> dict[str, Any]:
        """All that an administrator wants to know."""
        ...

    async def reconcile(self) -> dict[str, Any]:
        """Look at the record now instead of at the next time, and say what came of it."""
        ...


@dataclass(frozen=True)
class Front:
    """An ASGI application; who may come in is another layer's matter.

    Attributes:
        most: responses that one request may ask for.
        feedback: answers ``POST /v1/feedback``.
        created: when the server started, seconds since 1970.
    """

    prompting: Prompting
    lanes: Lanes
    proxy: Proxy
    metrics: Metrics
    upkeep: Upkeep
    most: int
    feedback: App
    created: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request to an address that is known."""
        try:
            await self._serve(scope, receive, send)
        except Refused as refused:  # here and not further out: what was refused is captured as such
            self.metrics.refused.labels(refused.code or refused.status).inc()
            await send_refused(send, refused, scope["state"]["tao_request_id"])

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["path"]:
            case path if path in (CHAT, COMPLETIONS):
                await self._complete(scope, receive, send)
            case path if path == FEEDBACK:
                await self.feedback(scope, receive, send)
            case path if path == HEALTH:
                await self._health(send)
            case path if path == METRICS:
                await self._metrics(send)
            case path if path == STATUS:
                await send_json(send, 200, self.upkeep.status())
            case path if path == RECONCILE:
                await send_json(send, 200, await self.upkeep.reconcile())
            case path:
                await self._models(path, send)

    async def _complete(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        ask = self._ask(bodies.read_json(message.get("body", b"")), scope)
        await _while_there(receive, self.proxy.answer(ask, send))

    def _ask(self, body: dict[str, Any], scope: Scope) -> Ask:
        chat, state = scope["path"] == CHAT, scope["state"]
        bodies.check(body, chat=chat, most=self.most)
        task = self.prompting.task(body)
        user = user_of(body, state["tao_key"], state["tao_request_id"])
        asked = bodies.for_engine(self.prompting.chat(body, task) if chat else body, self.prompting.name)
        stream, options = bool(body.get("stream")), body.get("stream_options") or {}
        if stream:
            asked["stream_options"] = {**options, "include_usage": True}
        return Ask(
            path=scope["path"],
            body=asked,
            user=user,
            request_id=state["tao_request_id"],
            task=task,
            state=state,
            stream=stream,
            usage=bool(options.get("include_usage")),
        )

    async def _health(self, send: Send) -> None:
        lane = self.lanes.champion
        if lane is None or not lane.up:
            why = self.upkeep.waiting_for or "the engine"
            raise Refused(503, f"waiting for {why}", code="unavailable", retry_after=RETRY_AFTER_S)
        await send_json(send, 200, {"status": "ok", "version": lane.served.version}, self._served())

    async def _metrics(self, send: Send) -> None:
        self.metrics.version.clear()
        for lane in (self.lanes.champion, self.lanes.candidate):
            if lane is not None:
                self.metrics.version.labels(lane.arm.value).set(lane.served.version)
        await send_bytes(send, 200, self.metrics.text(await self.proxy.engine_metrics()), CONTENT_TYPE)

    async def _models(self, path: str, send: Send) -> None:
        models = [
            {"id": name, "object": "model", "created": self.created, "owned_by": "tao"}
            for name in self.prompting.models
        ]
        if path == MODELS:
            await send_json(send, 200, {"object": "list", "data": models}, self._served())
            return
        wanted = path.removeprefix(f"{MODELS}/")
        found = next((one for one in models if one["id"] == wanted), None)
        if found is None:
            raise Refused(404, f"there is no model {wanted[:80]!r}", code="model_not_found", param="model")
        await send_json(send, 200, found, self._served())

    def _served(self) -> Headers:
        lane = self.lanes.champion
        if lane is None:
            return []
        told = {VERSION: str(lane.served.version), MODEL: lane.served.model_version, ARM: lane.arm.value}
        return [(name.encode(), value.encode()) for name, value in told.items()]


async def _while_there(receive: Receive, answering: Awaitable[None]) -> None:
    """Answer, and stop at once where the client goes away."""
    answer = asyncio.ensure_future(answering)
    gone = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        if not answer.done():
            answer.cancel()
        await asyncio.gather(answer, gone, return_exceptions=True)
    if not answer.cancelled():
        answer.result()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
