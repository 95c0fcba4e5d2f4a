"""``python -m benchmarks.capture.load URL``: requests at a fixed rate, or as fast as they are answered.

What to ask is one JSON object on stdin; what came of it is one on stdout. A latency counts from the moment that the
rate had set for the request, so that a slow answer cannot hide how long the next request waited.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

LIMIT_S = 60.0


@dataclass
class _Connection(asyncio.Protocol):
    """One connection; of an answer it looks at the end alone."""

    end: bytes
    transport: Any = None
    answered: "asyncio.Future[None] | None" = None
    tail: bytes = b""
    open: bool = True

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.tail = data if len(data) >= len(self.end) else (self.tail + data)[-len(self.end) :]
        if self.tail.endswith(self.end) and self.answered is not None and not self.answered.done():
            self.answered.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        if self.answered is not None and not self.answered.done():
            self.answered.set_exception(error or ConnectionError("closed"))

    async def ask(self, request: bytes) -> None:
        self.answered, self.tail = asyncio.get_running_loop().create_future(), b""
        self.transport.write(request)
        await asyncio.wait_for(self.answered, LIMIT_S)


class _Client:
    """Asks for one path, over as many connections as are busy at once."""

    def __init__(self, url: str, path: str, body: bytes, *, stream: bool) -> None:
        place = urlsplit(url)
        self._host, self._port = place.hostname or "", place.port or 80
        head = f"POST {path} HTTP/1.1\r\nhost: {place.netloc}\r\ncontent-type: application/json\r\n"
        self._request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
        self._end = b"0\r\n\r\n" if stream else b"}]}"
        self._idle: list[_Connection] = []

    async def ask(self) -> None:
        self._idle = [one for one in self._idle if one.open]  # a server ends those that nobody used for a while
        if self._idle:
            connection = self._idle.pop()
        else:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(lambda: _Connection(self._end), self._host, self._port)
        await connection.ask(self._request)
        self._idle.append(connection)


async def _at_rate(client: _Client, rate: float, seconds: float) -> dict[str, Any]:
    latencies: list[float] = []
    failed = 0

    async def one(due: float) -> None:
        nonlocal failed
        try:
            await client.ask()
        except (OSError, TimeoutError):
            failed += 1
        else:
            latencies.append(time.perf_counter() - due)

    began, tasks = time.perf_counter() + 0.1, []
    for number in range(int(rate * seconds)):
        due = began + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.ensure_future(one(due)))
    await asyncio.gather(*tasks)
    return {"latencies": latencies, "failed": failed}


async def _as_fast(client: _Client, connections: int, seconds: float | None, requests: int | None) -> dict[str, Any]:
    began, left = time.perf_counter(), requests
    done = 0

    async def ask_on() -> None:
        nonlocal left, done
        while (seconds is None or time.perf_counter() - began < seconds) and (left is None or left > 0):
            left = None if left is None else left - 1
            await client.ask()
            done += 1

    await asyncio.gather(*(ask_on() for _ in range(connections)))
    return {"requests": done, "seconds": time.perf_counter() - began}


async def _run(url: str, asked: dict[str, Any]) -> dict[str, Any]:
    client = _Client(url, asked["path"], json.dumps(asked["body"]).encode(), stream=asked["stream"])
    if asked.get("rate"):
        return await _at_rate(client, asked["rate"], asked["seconds"])
    return await _as_fast(client, asked["connections"], asked.get("seconds"), asked.get("requests"))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_run(sys.argv[1], json.loads(sys.stdin.read())))))
