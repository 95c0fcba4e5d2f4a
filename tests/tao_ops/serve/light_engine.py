"""A light server that behaves as vLLM's does, as far as the front sees it, and breaks when it is told to."""

import asyncio
import inspect
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Self

import uvicorn

from tao_ops.backends.vllm_server import MODEL_HEADER
from tao_ops.serve.exchange import Arm
from tao_ops.serve.lanes import Lane, Served

App = Callable[..., Awaitable[None]]
KEY = "engine-key"
METRICS = '# HELP vllm:running Under way.\n# TYPE vllm:running gauge\nvllm:running{engine="0"} 2.0\n'


class Running:
    """An ASGI application on a free port of this machine, in a thread of its own."""

    def __init__(self, app: App, **options: Any) -> None:
        # With its protocol named: else asyncio lets small packets wait for 40 ms (Nagle's algorithm).
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        quiet = {"log_config": None, "access_log": False, "server_header": False}
        config = uvicorn.Config(app, lifespan="off", ws="none", timeout_graceful_shutdown=1, **quiet, **options)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)
        return self

    def __exit__(self, *error: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()

    def call(self, action: Callable[[], Any]) -> Any:
        """Run ``action`` in the server's event loop, and wait for what it gives."""

        async def act() -> Any:
            given = action()
            return await given if inspect.isawaitable(given) else given

        return asyncio.run_coroutine_threadsafe(act(), self._loop).result(10)

    def _run(self) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            await self._server.serve(sockets=[self._socket])

        asyncio.run(serve())


class LightEngine:
    """Answers with the last message, word by word where a stream is asked for.

    Attributes:
        seen: bodies of the requests, ``headers`` their headers.
        breaks: what happens to the next requests: ``500``, ``503``; ``cut``, the connection breaks after the headers;
            ``middle``, after the first words.
        pause_s: before each word.
        aborted: requests whose client went away.
        refusal: a status and a body that every request gets.
    """

    def __init__(self, model_version: str = "aaaa") -> None:
        self.model_version, self.pause_s = model_version, 0.0
        self.seen: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.breaks: list[str] = []
        self.aborted = 0
        self.refusal: tuple[int, dict[str, Any]] | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        if headers.get("authorization") != f"Bearer {KEY}":
            return await self._json(send, 401, {"error": "no"})
        if scope["path"] == "/metrics":
            return await self._send(send, 200, b"text/plain", METRICS.encode())
        body = json.loads(await _body(receive))
        self.seen.append(body)
        self.headers.append(headers)
        what = self.breaks.pop(0) if self.breaks else ""
        if what in ("500", "503"):
            return await self._json(send, int(what), {"error": {"message": "EngineDeadError at /opt/x.py"}})
        if self.refusal is not None:
            return await self._json(send, *self.refusal)
        gone = asyncio.ensure_future(_disconnected(receive))
        answer = asyncio.ensure_future(self._answer(scope["path"], body, headers, what, send))
        await asyncio.wait((gone, answer), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            self.aborted += 1
            answer.cancel()
        gone.cancel()
        with suppress(asyncio.CancelledError):
            await answer
        return None

    async def _answer(self, path: str, body: dict[str, Any], headers: dict[str, str], what: str, send: Any) -> None:
        chat = path == "/v1/chat/completions"
        text = body["messages"][-1].get("content") if chat else body["prompt"]
        words = [f"{word} " for word in str(text).split(" ")]
        name = f"{'chatcmpl' if chat else 'cmpl'}-{headers['x-request-id']}"
        base = {"id": name, "created": 1, "model": body["model"]}
        base["system_fingerprint"] = self.model_version
        usage = {"prompt_tokens": 7, "completion_tokens": len(words), "total_tokens": 7 + len(words)}
        if not body.get("stream"):
            await asyncio.sleep(self.pause_s)
            whole = "".join(words).strip()
            part = {"message": {"role": "assistant", "content": whole}} if chat else {"text": whole}
            choice = {"index": 0, "finish_reason": "stop", **part}
            kind = "chat.completion" if chat else "text_completion"
            told = json.dumps({**base, "object": kind, "choices": [choice], "usage": usage}).encode()
            if what:
                return await self._send(send, 200, b"application/json", told[:20], length=len(told))
            return await self._send(send, 200, b"application/json", told)
        await send(self._start(200, b"text/event-stream; charset=utf-8"))
        kind = "chat.completion.chunk" if chat else "text_completion"
        for i, word in enumerate(words):
            if what == "cut" or (what == "middle" and i == 2):
                return None
            await asyncio.sleep(self.pause_s)
            part = {"delta": {"content": word}} if chat else {"text": word}
            last = "stop" if i == len(words) - 1 else None
            base["system_fingerprint"] = self.model_version
            await _event(send, {**base, "object": kind, "choices": [{"index": 0, **part, "finish_reason": last}]})
        if (body.get("stream_options") or {}).get("include_usage"):
            await _event(send, {**base, "object": kind, "choices": [], "usage": usage})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
        return None

    def _start(self, status: int, kind: bytes, length: int | None = None) -> dict[str, Any]:
        headers = [(b"content-type", kind), (MODEL_HEADER.encode(), self.model_version.encode())]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        return {"type": "http.response.start", "status": status, "headers": headers}

    async def _json(self, send: Any, status: int, told: dict[str, Any]) -> None:
        await self._send(send, status, b"application/json", json.dumps(told).encode())

    async def _send(self, send: Any, status: int, kind: bytes, body: bytes, *, length: int | None = None) -> None:
        await send(self._start(status, kind, len(body) if length is None else length))
        await send({"type": "http.response.body", "body": body, "more_body": length is not None})


def lane_of(running: Running, engine: LightEngine, arm: Arm = Arm.CHAMPION, version: int = 3) -> Lane:
    """The lane of an engine that runs."""
    return Lane(arm, running.url, KEY, Served(version, engine.model_version, "/models/m"))


async def _event(send: Any, told: dict[str, Any]) -> None:
    data = b"data: " + json.dumps(told, separators=(",", ":")).encode() + b"\n\n"
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _body(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def _disconnected(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
