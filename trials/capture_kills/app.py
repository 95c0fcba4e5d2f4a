"""The server of the trial: a light ASGI app under the capture, which tells how far it is; run as a process."""

import asyncio
import json
import socket
import sys
from collections.abc import MutableMapping
from typing import Any

from tao_ops.serve.capture import Capture
from tao_ops.serve.capture.middleware import Receive, Send

WORDS = 8
_PAUSE_S = 0.001


class Counted(Capture):
    """The capture, which answers ``GET /counts`` and ``GET /flushed`` besides: around any server."""

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve a request."""
        path = scope.get("path")
        if path not in ("/counts", "/flushed"):
            await super().__call__(scope, receive, send)
            return
        if path == "/flushed":
            await asyncio.to_thread(self.flush, 60.0)
        await _answer(send, json.dumps({**self.counts(), "writer": self._sender.writer_pid}).encode())


async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """Repeats the request's last message, word for word where a stream is asked for."""
    body = b""
    while True:
        message = await receive()
        if message["type"].startswith("lifespan."):
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
            continue
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    asked = json.loads(body)
    identity, said = asked["metadata"]["id"], asked["messages"][-1]["content"]
    if not asked.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        await _answer(send, json.dumps({"id": identity, "model": "light", "choices": [choice]}).encode())
        return
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for word in said.split(" ")[:WORDS]:
        chunk = {"id": identity, "model": "light", "choices": [{"index": 0, "delta": {"content": f"{word} "}}]}
        await send({"type": "http.response.body", "body": _event(json.dumps(chunk)), "more_body": True})
        await asyncio.sleep(_PAUSE_S)
    await send({"type": "http.response.body", "body": _event("[DONE]"), "more_body": False})


def _event(data: str) -> bytes:
    return f"data: {data}\n\n".encode()


async def _answer(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def main() -> int:
    """Serve on a free port, and print it."""
    import uvicorn

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(Counted(app), log_level="warning")).run(sockets=[listening])
    return 0


if __name__ == "__main__":
    sys.exit(main())
