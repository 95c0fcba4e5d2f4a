"""What the capture costs: the same ASGI application with it and without, in one process, on and off in turn.

The capture writes all: each record goes to the writer process, is parsed, redacted, hashed, and flushed to the disk in
batches. Requests come from another process. Beside it LiteLLM's proxy, with a logger that appends each call to a file
and without, before the same upstream, in the same run; it streams fewer requests a second than this machine would have
to give, so both are measured at :data:`PEER_RATE` too.

TensorZero publishes an added p99 of 0.94 ms at 10,000 queries a second on a machine of 16 cores, *with logging off*:
that is a whole gateway's overhead, of another hop, for answers that are no streams. Here logging is on, the answers are
streams of 64 chunks, the capture is a layer inside the server, and clients, server and writer share this machine's
cores. The figures are neighbours and no contest.

``BLOCK_SECONDS``, ``BLOCKS`` and ``REQUESTS`` in the environment make it shorter or longer.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.capture import litellm
from benchmarks.capture.processes import cpu_s, rss_mib, stopped
from benchmarks.capture.shape import CHUNKS, SERVICE_S
from benchmarks.report import Row, median, spread, write
from tao_ops.settings import PROJECT

RATE, PEER_RATE = 200.0, 10.0
"""Streams a second."""
SECONDS, BLOCKS = float(os.environ.get("BLOCK_SECONDS", "10")), int(os.environ.get("BLOCKS", "5"))
"""Of one block, and how many of each kind there are."""
REQUESTS = int(os.environ.get("REQUESTS", "100000"))
"""For the memory: a million takes ten minutes."""
CONNECTIONS = 16
GOAL_MS = 1.0
PEER = "LiteLLM's proxy, logger to a file"

_BODY = {
    "model": "light",
    "user": "customer 42",
    "messages": [
        {"role": "user", "content": "Anna here (anna@example.org), where is my jacket? " + "It was due. " * 20}
    ],
}


@dataclass
class Side:
    """What was measured of one kind of block: latencies in ms by block, CPU in µs a request, requests a second."""

    latencies: list[list[float]] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    writer: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    failed: int = 0

    def latencies_at(self, percent: int) -> list[float]:
        """A percentile of each block, ms."""
        return [sorted(block)[min(len(block) - 1, len(block) * percent // 100)] for block in self.latencies]


def run() -> None:
    """Measure, and write the table."""
    with tempfile.TemporaryDirectory(prefix="tao-bench-") as scratch:
        folder = Path(scratch)
        server, url = _server(folder)
        try:
            _warm(url)
            streams = _streams(_ours(url), RATE)
            noop = _noop(url)
            memory = _memory(url)
            slow, peer = _beside(folder, url)
            counts = httpx.get(f"{url}/state").json()["counts"]
        finally:
            stopped(server)
    rows = _rows(streams, noop, memory, slow, peer)
    print(f"the capture's own counts: {counts}")
    shape = {"chunks": CHUNKS, "service_s": SERVICE_S, "seconds": SECONDS, "requests": REQUESTS}
    write("capture", rows, BLOCKS, counts=counts, **shape)


def _server(folder: Path) -> tuple["subprocess.Popen[bytes]", str]:
    environment = {**os.environ, "TAO_CAPTURE_PATH": str(folder / "captured"), "TAO_HASH_KEY": "a key"}
    environment.pop("TAO_FLYWHEEL", None)
    command = [sys.executable, "-m", "benchmarks.capture.server"]
    process = subprocess.Popen(command, env=environment, cwd=PROJECT, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    return process, f"http://127.0.0.1:{int(process.stdout.readline() or 0)}"


def _load(url: str, **asked: Any) -> dict[str, Any]:
    """Requests from another process."""
    command = [sys.executable, "-m", "benchmarks.capture.load", url]
    done = subprocess.run(
        command, input=json.dumps({"body": _BODY, **asked}), cwd=PROJECT, text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"error: the load broke: {done.stderr.strip()[-500:]}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _warm(url: str) -> None:
    for kind in ("/off", "/on"):
        _load(url, path=f"{kind}/noop/v1/chat/completions", stream=False, connections=4, seconds=1.0)
    httpx.get(f"{url}/flushed", timeout=300.0)


@dataclass(frozen=True)
class Target:
    """What a block asks.

    Attributes:
        used: seconds of CPU so far of what serves, and of its writer.
    """

    url: str
    path: str
    used: Callable[[], tuple[float, float]]


def _ours(url: str) -> dict[str, Target]:
    return {name: Target(url, f"/{name}/stream/v1/chat/completions", lambda: _used(url)) for name in ("off", "on")}


def _streams(targets: dict[str, Target], rate: float) -> dict[str, Side]:
    """Blocks of each target in turn, who begins alternates."""
    sides = {name: Side() for name in targets}
    body = {**_BODY, "stream": True}
    for number in range(BLOCKS):
        for name in list(targets) if number % 2 == 0 else list(reversed(targets)):
            target, side = targets[name], sides[name]
            before = target.used()
            told = _load(target.url, path=target.path, stream=True, rate=rate, seconds=SECONDS, body=body)
            after, count = target.used(), max(1, len(told["latencies"]))
            side.latencies.append([1000 * one for one in told["latencies"]])
            side.cpu.append(1e6 * (after[0] - before[0]) / count)
            side.writer.append(1e6 * (after[1] - before[1]) / count)
            side.failed += told["failed"]
    return sides


def _used(url: str) -> tuple[float, float]:
    """Seconds of CPU of the server and of its writer, once all is written."""
    httpx.get(f"{url}/flushed", timeout=300.0)
    told = httpx.get(f"{url}/state").json()
    return told["cpu_s"], cpu_s(told["writer"])


def _noop(url: str) -> dict[str, Side]:
    sides = {"off": Side(), "on": Side()}
    for number in range(BLOCKS):
        for name in ("off", "on") if number % 2 == 0 else ("on", "off"):
            told = _load(
                url, path=f"/{name}/noop/v1/chat/completions", stream=False, connections=CONNECTIONS, seconds=SECONDS
            )
            sides[name].rates.append(told["requests"] / told["seconds"])
            httpx.get(f"{url}/flushed", timeout=300.0)
    return sides


def _memory(url: str) -> dict[str, float]:
    """MiB of server and writer after a tenth of the requests, and after all."""
    path = "/on/noop/v1/chat/completions"
    told: dict[str, float] = {}
    for name, share in (("begin", 0.1), ("end", 0.9)):
        _load(url, path=path, stream=False, connections=CONNECTIONS, requests=int(REQUESTS * share))
        httpx.get(f"{url}/flushed", timeout=600.0)
        state = httpx.get(f"{url}/state").json()
        told[name] = rss_mib(state["pid"])
        told[f"{name}_writer"] = rss_mib(state["writer"])
    return told


def _beside(folder: Path, url: str) -> tuple[dict[str, Side], dict[str, Side] | None]:
    """Ours and LiteLLM's at a rate that both can take; None where LiteLLM cannot be had."""
    slow, interpreter = _streams(_ours(url), PEER_RATE), litellm.python()
    if interpreter is None:
        return slow, None
    proxies: dict[str, litellm.Proxy] = {}
    try:
        for name in ("off", "on"):
            upstream = f"{url}/off/stream/v1"
            proxies[name] = litellm.Proxy.start(interpreter, folder / f"litellm-{name}", upstream, logs=name == "on")
        targets = {name: _proxied(proxy) for name, proxy in proxies.items()}
        for target in targets.values():  # its first requests import what it needs
            _load(target.url, path=target.path, stream=True, rate=2.0, seconds=3.0, body={**_BODY, "stream": True})
        sides, log = _streams(targets, PEER_RATE), proxies["on"].log
        if log is None or not log.is_file() or not log.stat().st_size:
            raise RuntimeError("its logger wrote nothing")
        return slow, sides
    except RuntimeError as error:
        print(f"LiteLLM is left out: {error}")
        return slow, None
    finally:
        for proxy in proxies.values():
            stopped(proxy.process)


def _proxied(proxy: litellm.Proxy) -> Target:
    return Target(proxy.url, "/v1/chat/completions", lambda: (cpu_s(proxy.process.pid), 0.0))


def _rows(
    streams: dict[str, Side],
    noop: dict[str, Side],
    memory: dict[str, float],
    slow: dict[str, Side],
    peer: dict[str, Side] | None,
) -> list[Row]:
    rows = []
    for rate, ours, other in ((RATE, streams, None), (PEER_RATE, slow, peer)):
        said = f"{rate:.0f} streams/s"
        for share in (50, 99):
            mine, theirs = _added(ours, share), None if other is None else _added(other, share)
            goal = (f"< {GOAL_MS} ms", mine[0] < GOAL_MS) if rate == RATE and share == 99 else (None, None)
            rows.append(_row(f"{said}: added p{share}", "ms", mine, theirs, *goal))
        plain = (median(ours["off"].latencies_at(99)), spread(ours["off"].latencies_at(99)))
        rows.append(_row(f"{said}: p99 without", "ms", plain, _plain(other)))
        rows.append(_row(f"{said}: added CPU, server", "µs", _more(ours, "cpu"), other and _more(other, "cpu")))
        rows.append(_row(f"{said}: CPU of the writer", "µs", _more(ours, "writer"), None))
        failed = sum(side.failed for side in ours.values())
        rows.append(Row(f"{said}: failed", "", failed, other and sum(s.failed for s in other.values()), PEER, None))
    for name, side in noop.items():
        said = "peak rate of a no-op app, " + ("with the capture" if name == "on" else "without")
        rows.append(Row(said, "1/s", median(side.rates), None, PEER, None, spread=spread(side.rates)))
    for name, what in (("", "server"), ("_writer", "writer")):
        figure = f"memory of the {what} over {REQUESTS:,} requests, last less first tenth"
        rows.append(Row(figure, "MiB", round(memory[f"end{name}"] - memory[f"begin{name}"], 1), None, PEER, None))
        rows.append(Row(f"memory of the {what} at the end", "MiB", round(memory[f"end{name}"], 1), None, PEER, None))
    return rows


Figure = tuple[float, str]
"""A median over the blocks, and the smallest and largest of them."""


def _added(sides: dict[str, Side], share: int) -> Figure:
    """A percentile with, less that without, block by block."""
    pairs = zip(sides["on"].latencies_at(share), sides["off"].latencies_at(share), strict=True)
    every = [on - off for on, off in pairs]
    return median(every), spread(every)


def _more(sides: dict[str, Side], name: str) -> Figure:
    every = [on - off for on, off in zip(getattr(sides["on"], name), getattr(sides["off"], name), strict=True)]
    return median(every), spread(every)


def _plain(sides: dict[str, Side] | None) -> Figure | None:
    return None if sides is None else (median(sides["off"].latencies_at(99)), "")


def _row(
    figure: str, unit: str, ours: Figure, peer: Figure | None, goal: str | None = None, met: bool | None = None
) -> Row:
    ratio = round(ours[0] / peer[0], 3) if peer and peer[0] > 0 else None
    return Row(figure, unit, ours[0], peer[0] if peer else None, PEER, ratio, goal, met, ours[1])
