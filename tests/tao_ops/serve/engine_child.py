"""A light process in the place of vLLM's server: the same routes and the same guard, answers out of a text file.

``python engine_child.py`` reads a job as the real one does. A model is a folder that :func:`write_model` makes; its
answer is the same for every question, a character at a time.
"""

import asyncio
import json
import os
import socket
import struct
import sys
from pathlib import Path
from typing import Any

from tao_ops.backends.vllm_server import Guarded, Job, State, guard
from tao_ops.serve.lanes import Served

TOKEN_S = 0.002


def write_model(folder: Path, answer: str, *, shape: int = 3) -> Path:
    """A model that answers with ``answer``; one of another ``shape`` needs an engine of its own."""
    folder.mkdir(parents=True)
    header = json.dumps({"a": {"dtype": "BF16", "shape": [2, shape], "data_offsets": [0, 4 * shape]}}).encode()
    data = answer.encode().ljust(4 * shape)[: 4 * shape]
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
    (folder / "config.json").write_text('{"architectures": ["Tiny"]}', encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_text("{}", encoding="utf-8")
    (folder / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    (folder / "answer.txt").write_text(answer, encoding="utf-8")
    return folder


def served(folder: Path, version: int) -> Served:
    return Served(version, f"digest-{folder.name}", str(folder))


class Client:
    """What :class:`Guarded` asks of vLLM's engine."""

    def __init__(self, path: str) -> None:
        self.answer, self.paused = self._read(path), False

    async def pause_generation(self, *, mode: str) -> None:
        self.paused = True

    async def resume_generation(self) -> None:
        self.paused = False

    async def reset_prefix_cache(self) -> None: ...

    async def collective_rpc(self, method: str, kwargs: dict[str, str]) -> None:
        assert method == "reload_weights" and self.paused
        self.answer = "neither"  # as vLLM may leave it where it fails
        await asyncio.sleep(0.01)
        self.answer = self._read(kwargs["weights_path"])

    @staticmethod
    def _read(path: str) -> str:
        answer = (Path(path) / "answer.txt").read_text(encoding="utf-8")
        if answer == "broken":
            raise RuntimeError("these weights cannot be loaded")
        return answer


class App:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        asked = json.loads(body)
        if not asked.get("stream"):
            await asyncio.sleep(TOKEN_S * len(self._client.answer))
            told = json.dumps(self._message("message", self._client.answer)).encode()
            await send({"type": "http.response.start", "status": 200, "headers": [_type(b"application/json")]})
            await send({"type": "http.response.body", "body": told})
            return
        await send({"type": "http.response.start", "status": 200, "headers": [_type(b"text/event-stream")]})
        for i in range(len(self._client.answer)):
            await asyncio.sleep(TOKEN_S)
            event = f"data: {json.dumps(self._message('delta', self._client.answer[i : i + 1]))}\n\n"
            await send({"type": "http.response.body", "body": event.encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    @staticmethod
    def _message(kind: str, text: str) -> dict[str, Any]:
        return {"choices": [{"index": 0, kind: {"role": "assistant", "content": text}, "finish_reason": None}]}


def _type(kind: bytes) -> tuple[bytes, bytes]:
    return (b"content-type", kind)


def main() -> None:
    import uvicorn

    line = b""
    while not line.endswith(b"\n"):
        line += os.read(0, 1)
    job = Job.read(line)
    guard((job.socket,))
    try:
        client = Client(job.path)
    except (RuntimeError, OSError) as error:
        print(f"error: {error}", flush=True)
        sys.exit(1)
    app = Guarded(App(client), job.key, State(job.model_version, job.path), client)  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
    asyncio.run(server.serve(sockets=[socket.socket(fileno=job.socket)]))


if __name__ == "__main__":
    main()
