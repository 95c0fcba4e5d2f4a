"""The load of the benchmark of capture."""

import asyncio
from typing import Any

import pytest

from benchmarks.capture import load

ANSWER = b'HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{"choices":[{}]}'


async def _asked_twice() -> dict[str, Any]:
    """Two requests, far enough apart for the server to end the connection between them."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(ANSWER)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        asked = {"path": "/", "body": {}, "stream": False, "rate": 2.0, "seconds": 1.0}
        return await load._run(url, asked)


def test_a_connection_that_the_server_ended_while_it_was_idle_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load, "LIMIT_S", 2.0)
    told = asyncio.run(_asked_twice())
    assert told["failed"] == 0 and len(told["latencies"]) == 2
