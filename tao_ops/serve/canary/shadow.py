"""Shadows: copies of what the champion was asked, for the candidate; no user sees their answers, and no file either."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx

from tao_ops.errors import EngineError
from tao_ops.serve import bodies
from tao_ops.serve.exchange import REQUEST_ID, Arm, Exchange
from tao_ops.serve.lanes import Lane, Lanes, Served, drawn
from tao_ops.serve.prompting import Prompting
from tao_ops.serve.responses import Refused
from tao_ops.serve.routes import CHAT

UNDER_WAY = 4
"""Shadows at once; what comes meanwhile is dropped, and counted."""
_GATE_S = 1.0


class Shadow:
    """An observer of exchanges, which asks the candidate the same once the user has their answer.

    Made on the server's event loop, called from any thread. Whether a request is copied is drawn by its id.

    Attributes:
        asked: shadows that were begun.
        dropped: those that were not, since too many were under way.
    """

    def __init__(
        self, lanes: Lanes, prompting: Prompting, count: Callable[[Exchange], None], *, seconds: float
    ) -> None:
        """Args:
        count: is given each shadow's exchange, in a thread.
        seconds: longest time of one.
        """
        self._lanes, self._prompting, self._count, self._seconds = lanes, prompting, count, seconds
        self._loop, self._closed = asyncio.get_running_loop(), False
        self._tasks: set[asyncio.Task[None]] = set()
        self._http = httpx.AsyncClient(timeout=httpx.Timeout(seconds, connect=5.0), trust_env=False)
        self.asked = self.dropped = 0

    def __call__(self, exchange: Exchange) -> None:
        """Copy an exchange, where it is drawn; waits for nothing."""
        canary = self._lanes.canary
        if canary is None or self._closed or exchange.arm is not Arm.CHAMPION or not exchange.answered:
            return
        if drawn(f"{canary.salt} shadow", exchange.request_id) < canary.shadow:
            self._loop.call_soon_threadsafe(self._begin, exchange)

    async def close(self) -> None:
        """Give up what is under way; what is observed from then on is not copied."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()

    def _begin(self, exchange: Exchange) -> None:
        lane = self._lanes.candidate
        if lane is None or self._closed:
            return
        if len(self._tasks) >= UNDER_WAY:
            self.dropped += 1
            return
        self.asked += 1
        task = asyncio.create_task(self._ask(lane, exchange))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, lane: Lane, exchange: Exchange) -> None:
        try:
            async with lane.request(_GATE_S) as served:
                answered = await self._answered(lane, served, exchange)
        except EngineError:  # its engine is being started: its users' requests tell of that
            self.dropped += 1
            return
        await asyncio.to_thread(self._count, answered)

    async def _answered(self, lane: Lane, served: Served, exchange: Exchange) -> Exchange:
        at, began = datetime.now(UTC), time.monotonic()
        headers = {"authorization": f"Bearer {lane.key}", REQUEST_ID: f"shadow-{exchange.request_id}"}
        status, body = 503, None
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._http.post(lane.url + exchange.route, json=self._body(exchange), headers=headers)
            status, body = answer.status_code, _object(answer.content)
        except (httpx.HTTPError, TimeoutError, Refused):
            pass  # counted as an error
        usage = (body or {}).get("usage") or {}
        return replace(
            exchange,
            request_id=f"shadow-{exchange.request_id}",
            received_at=at,
            status=status,
            response=body,
            whole=body is not None,
            arm=Arm.SHADOW,
            version=served.version,
            model_version=served.model_version,
            seconds=time.monotonic() - began,
            first_seconds=None,
            prompt_tokens=usage.get("prompt_tokens"),
            tokens=usage.get("completion_tokens"),
        )

    def _body(self, exchange: Exchange) -> dict[str, Any]:
        """The same request, with the server's prompt, whose answer comes at once."""
        asked: dict[str, Any] = exchange.request
        if exchange.route == CHAT and exchange.task is not None:
            asked = self._prompting.chat(asked, exchange.task)
        body = bodies.for_engine(asked, self._prompting.name)
        body.pop("stream_options", None)
        return {**body, "stream": False}


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(content)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
