"""A capture around a small application, driven message by message, without a socket."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tao_ops.config import CaptureConfig, PrivacyConfig
from tao_ops.serve.capture import Capture, Setup
from tao_ops.serve.exchange import Exchange

ASKED = {"model": "tickets", "user": "anna", "messages": [{"role": "user", "content": "Where is my jacket?"}]}
JSON = (b"content-type", b"application/json")
PLAIN = PrivacyConfig(kinds=(), names=False)
"""Nothing to look for: the writer starts at once."""


def completion(content: str = "In Oslo.", **more: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return json.dumps({"id": "chatcmpl-1", "model": "m", "choices": [choice], **more}).encode()


class Site:
    """An application that answers as it is told, under a capture."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.captures: list[Capture] = []
        self.headers: list[tuple[bytes, bytes]] = [JSON]
        self.pieces: Sequence[bytes] = [completion()]
        self.status = 200
        self.before: Callable[[], None] | None = None
        """Called before the last piece."""

    def capture(
        self,
        *observers: Callable[[Exchange], None],
        privacy: PrivacyConfig = PLAIN,
        python: str | None = None,
        **config: Any,
    ) -> Capture:
        setup = Setup(
            str(self.folder),
            b"key",
            CaptureConfig(**config),
            server="here",
            privacy={"tickets": privacy},
            strictest=privacy,
        )
        if python is not None:
            setup = Setup(**{**vars(setup), "python": python})
        self.captures.append(Capture(self.app, setup, observers=observers))
        return self.captures[-1]

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        for piece in self.pieces[:-1]:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        if self.before is not None:
            self.before()
        await send({"type": "http.response.body", "body": self.pieces[-1]})

    def ask(
        self,
        capture: Capture,
        body: Any = ASKED,
        *,
        path: str = "/v1/chat/completions",
        headers: Sequence[tuple[bytes, bytes]] = (),
        disconnects: bool = False,
        key: str | None = None,
    ) -> list[dict[str, Any]]:
        """Send one request; the messages that the server got."""
        sent: list[dict[str, Any]] = []
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        messages = [
            {"type": "http.request", "body": data[:10], "more_body": True},
            {"type": "http.request", "body": data[10:], "more_body": disconnects},
            {"type": "http.disconnect"},
        ]

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": path, "headers": list(headers), "tao.key": key}
        asyncio.run(capture(scope, receive, send))
        return sent

    def lines(self, capture: Capture) -> list[dict[str, Any]]:
        """What is in the segments once all was written."""
        assert capture.flush(60.0)
        return self.kept()

    def kept(self) -> list[dict[str, Any]]:
        files = sorted(self.folder.rglob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    one = Site(tmp_path / "captured")
    yield one
    for capture in one.captures:
        capture.close(1.0)
