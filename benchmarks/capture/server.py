"""The server of the benchmark: one process, one application, under ``/on`` with the capture around it and without.

``…/stream/v1/chat/completions`` streams :data:`CHUNKS` chunks with a fixed service time, ``…/noop/v1/…`` answers at
once. ``GET /state`` says what the process has used so far.
"""

import asyncio
import json
import os
import resource
import socket
import sys
import time
from typing import Any

from benchmarks.capture.shape import CHUNKS, GROUPS, SERVICE_S


def _chunk(number: int) -> bytes:
    told: dict[str, Any] = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1795248843,
        "model": "light",
    }
    told["choices"] = [{"index": 0, "delta": {"content": f" word{number}"}, "finish_reason": None}]
    if number == CHUNKS - 1:
        told["choices"][0]["finish_reason"] = "stop"
    return f"data: {json.dumps(told)}\n\n".encode()


_STREAM = [_chunk(number) for number in range(CHUNKS)]
_DONE = b"data: [DONE]\n\n"
_MESSAGE = {"role": "assistant", "content": "The jacket is in Oslo, and comes with the post tomorrow."}
_ANSWER = json.dumps(
    {"id": "chatcmpl-bench", "model": "light", "choices": [{"index": 0, "message": _MESSAGE, "finish_reason": "stop"}]}
).encode()


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer; the request's body is read and not looked at."""
    while True:
        message = await receive()
        if message["type"].startswith("lifespan."):
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
        elif not message.get("more_body"):
            break
    if "/stream/" in scope["path"]:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for number, chunk in enumerate(_STREAM):
            if number % (CHUNKS // GROUPS) == 0:
                await asyncio.sleep(SERVICE_S / GROUPS)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": _DONE})
    else:
        await _answer(send, _ANSWER)


async def _answer(send: Any, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> int:
    """Serve on a free port, and print it."""
    import uvicorn

    from tao_ops.serve.capture import Capture

    capture = Capture(app)

    async def both(scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        if path == "/state":
            used = resource.getrusage(resource.RUSAGE_SELF)
            pid = capture._sender.writer_pid
            told = {"cpu_s": time.process_time(), "peak_kib": used.ru_maxrss, "pid": os.getpid(), "writer": pid}
            await _answer(send, json.dumps({**told, "counts": dict(capture.counts())}).encode())
        elif path == "/flushed":
            await asyncio.to_thread(capture.flush, 300.0)
            await _answer(send, b"{}")
        elif path.startswith("/off/"):
            await app(scope, receive, send)
        else:
            await capture(scope, receive, send)

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(both, log_level="warning", access_log=False)).run(sockets=[listening])
    return 0


if __name__ == "__main__":
    sys.exit(main())
