"""Runs queries in a worker process, which is ended where one overruns, and remembers what they gave."""

import atexit
import contextlib
import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

from tao_ops.config import SqlConfig
from tao_ops.errors import EngineError
from tao_ops.rewards.sql.databases import dialect_of
from tao_ops.rewards.sql.guard import bare, malformed
from tao_ops.rewards.sql.results import NoResult, Result, Value

_START_S = 120.0
_GRACE_S = 1.0
"""A worker that is this late is ended."""
_MOST_RESULTS, _MOST_BYTES, _LARGE = 8192, 256 * 1024 * 1024, 32 * 1024 * 1024
"""Of the results that are remembered: how many, their bytes in memory all together, and most bytes of one of them."""
_CODE = """
import sys
sys.path[:] = {path!r}
from tao_ops.rewards.sql.worker import main
main({dialect!r}, {memory_mib}, parent={parent})
"""


def run(text: str, *, path: Path, sql: SqlConfig) -> Result | NoResult:
    """What a response's SQL gives on the database.

    What the same text gave on the same file is remembered, unless it is large, or the file or the machine is to blame.

    Raises:
        EngineError: the worker process cannot be started.
    """
    query = bare(text)
    if why := malformed(query):
        return NoResult("refused", why)
    dialect = dialect_of(path)
    if dialect is None:
        return NoResult("unreadable", "no kind of database that is known")
    with _lock:
        return _run(query, path, dialect, sql)


def _run(query: str, path: Path, dialect: str, sql: SqlConfig) -> Result | NoResult:
    stamp = _stamp(path)
    request = {
        "query": query,
        "path": str(path.absolute()),
        "stamp": stamp,
        "seconds": sql.seconds,
        "rows": sql.rows,
    }
    name = hashlib.sha256(json.dumps([request, sql.memory_mib]).encode()).digest()
    if (known := _known.get(name)) is not None:
        return known
    found = _worker(dialect, sql.memory_mib).ask(request)
    if _stamp(path) != stamp:
        return NoResult("unreadable", "it changed while it was read")
    if isinstance(found, Result) or found.kind in ("refused", "failed", "stopped"):
        _known.put(name, found)
    return found


def _stamp(path: Path) -> list[int]:
    """What is another after a write: a writer in WAL mode leaves the file itself alone until its checkpoint."""
    stamp: list[int] = []
    for file in (path, path.with_name(f"{path.name}-wal")):
        with contextlib.suppress(OSError):  # where the file itself is missing, opening it tells
            told = file.stat()
            stamp += [told.st_ino, told.st_size, told.st_mtime_ns]
    return stamp


class _Known:
    """The results of before, the latest used kept longest."""

    def __init__(self) -> None:
        self._results: OrderedDict[bytes, tuple[Result | NoResult, int]] = OrderedDict()
        self.bytes = 0

    def get(self, name: bytes) -> Result | NoResult | None:
        if name not in self._results:
            return None
        self._results.move_to_end(name)
        return self._results[name][0]

    def put(self, name: bytes, result: Result | NoResult) -> None:
        size = _bytes(result)
        if size > _LARGE:
            return
        self._results[name] = result, size
        self.bytes += size
        while len(self._results) > _MOST_RESULTS or self.bytes > _MOST_BYTES:
            _, (_, dropped) = self._results.popitem(last=False)
            self.bytes -= dropped


def _bytes(result: Result | NoResult) -> int:
    """About what it takes in memory."""
    if isinstance(result, NoResult):
        return sys.getsizeof(result.why)
    values = sum(sys.getsizeof(row) + sum(map(sys.getsizeof, row)) for row in result.rows)
    return values + sys.getsizeof(result.rows) + sys.getsizeof(result.groups)


_lock = threading.RLock()
_known = _Known()
_workers: dict[tuple[int, str, int], "_Worker"] = {}


def _worker(dialect: str, memory_mib: int) -> "_Worker":
    """This process's worker for that kind of database; a forked child gets its own."""
    name = (os.getpid(), dialect, memory_mib)
    if name not in _workers:
        _workers[name] = _Worker(dialect, memory_mib)
    return _workers[name]


def _after_fork() -> None:
    """Another thread's lock would never be freed in the child, nor what it was changing be whole."""
    global _lock, _known
    _lock, _known = threading.RLock(), _Known()


os.register_at_fork(after_in_child=_after_fork)


@atexit.register
def _end_workers() -> None:
    for (pid, *_), worker in _workers.items():
        if pid == os.getpid():
            worker.end()


class _Died(Exception):
    """The process ended by itself, or did not answer in time."""


class _Worker:
    """A process of its own, started when the first query comes and again after one was ended."""

    def __init__(self, dialect: str, memory_mib: int) -> None:
        self._dialect, self._memory_mib = dialect, memory_mib
        self._process: subprocess.Popen[bytes] | None = None
        self._left = b""

    def ask(self, request: dict[str, Any]) -> Result | NoResult:
        """Send one query and wait for what it gives, no longer than its time limit and a little."""
        process = self._started()
        try:
            self._send(process, request)
            reply = self._line(process, request["seconds"] + _GRACE_S)
        except _Died:
            return NoResult("ended", self._why_it_ended())
        except BaseException:
            self.end()  # a reply that nobody waited for would answer the next query
            raise
        return _read(reply)

    def end(self) -> None:
        """End the process, if there is one."""
        process, self._process, self._left = self._process, None, b""
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was not sent is of no use any more
                    pipe.close()

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.end()
        code = _CODE.format(
            path=[os.path.abspath(p) for p in sys.path],
            dialect=self._dialect,
            memory_mib=self._memory_mib,
            parent=os.getpid(),
        )
        keep = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "PATH", "SYSTEMROOT") if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=keep,  # no secret of this process is in reach of a query
            cwd="/",
        )
        try:
            self._line(self._process, _START_S)
        except _Died:
            self.end()
            raise EngineError("the process that runs SQL did not start", where=sys.executable) from None
        return self._process

    def _send(self, process: "subprocess.Popen[bytes]", request: dict[str, Any]) -> None:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        except OSError:
            raise _Died from None

    def _line(self, process: "subprocess.Popen[bytes]", seconds: float) -> dict[str, Any]:
        assert process.stdout is not None
        until = time.monotonic() + seconds
        pipe = process.stdout.fileno()
        replies = select.poll()
        replies.register(pipe, select.POLLIN)
        parts = [self._left]
        while b"\n" not in parts[-1]:
            ready = replies.poll(max(0.0, until - time.monotonic()) * 1000)
            part = os.read(pipe, 1 << 20) if ready else b""
            if not part:
                raise _Died
            parts.append(part)
        line, _, self._left = b"".join(parts).partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _why_it_ended(self) -> str:
        """Which limit it met, if any; it is gone afterwards."""
        assert self._process is not None
        try:
            code: int | None = self._process.wait(0.05)
        except subprocess.TimeoutExpired:
            code = None  # it is still at it
        self.end()
        return "time limit" if code in (None, -signal.SIGXCPU) else "the database's process died"


def _read(reply: dict[str, Any]) -> Result | NoResult:
    if "error" in reply:
        return NoResult(reply["kind"], reply["error"])
    groups = reply["groups"]
    return Result(
        tuple(tuple(map(_value, row)) for row in reply["rows"]),
        None if groups is None else tuple(groups),
        reply["distinct"],
        reply["repeatable"],
    )


def _value(raw: Any) -> Value:
    return bytes.fromhex(raw["b"]) if isinstance(raw, dict) else raw
