"""The thread between the server and its writer process: a bounded queue, a pipe, and a new writer where one dies."""

import atexit
import fcntl
import json
import logging
import os
import secrets
import select
import subprocess
import threading
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import tao_ops
from tao_ops.serve.capture.raw import Raw, packed
from tao_ops.serve.capture.setup import Setup

GATHER_S = 0.02
"""How long records gather before they are sent: a wake-up for each would cost the server more than the sending."""

PIPE = 1 << 20
OVERHEAD = 512
"""Bytes that a record takes beside its bodies."""

TRIES = 2
"""Writers that may die with a record; then it is dropped."""

BACKOFF_S = (0.1, 0.5, 2.0, 5.0, 10.0)
"""Waits before a new writer, by how many died since a record was last written."""

_VECTORS = 256

_LOG = logging.getLogger(__name__)


class _Packed:
    __slots__ = ("data", "seq", "size", "tries")

    def __init__(self, seq: int, data: bytes, size: int) -> None:
        self.seq, self.data, self.size, self.tries = seq, data, size, 0


class Sender:
    """Takes records in the server's event loop, sends them from a thread, and keeps each until it is on the disk.

    A record counts against ``buffer_mib`` from :meth:`put` until the writer has said that it is synced; the newest is
    dropped where it does not fit. When a writer dies, what it had not synced is sent again to the next one; what had
    been written all the same comes twice with one request id, and ``ingest`` takes it once.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._limit = setup.config.buffer_mib << 20
        self._token = secrets.token_hex(6)
        self._queue: deque[tuple[Raw | dict[str, Any], int]] = deque()
        self._taken, self._settled_bytes = 0, 0  # written by the event loop alone, and by the thread alone
        self._captured = self._full = 0
        self._idle = False
        self._closing = False
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._settled = threading.Condition()
        self._waiting: deque[_Packed] = deque()
        self._sent: deque[_Packed] = deque()
        self._offset = 0
        self._seq = self._done = 0
        self._lost = self._restarts = self._deaths = 0
        self._counts: Counter[str] = Counter()
        self._of_this_writer: dict[str, int] = {}
        self._writer: subprocess.Popen[bytes] | None = None
        self._start_at = 0.0
        self._said = b""
        self._wake_r, self._wake_w = os.pipe()
        os.set_blocking(self._wake_r, False)
        os.set_blocking(self._wake_w, False)

    def put(self, item: Raw | dict[str, Any], size: int) -> bool:
        """Take a record for the writer; whether there was room. Belongs to the event loop."""
        size += OVERHEAD
        if self._closing or self._taken - self._settled_bytes + size > self._limit:
            self._full += 1
            return False
        self._taken += size
        self._captured += 1
        self._queue.append((item, size))
        if self._idle:
            self._wake()
        elif self._thread is None:
            self.start()
        return True

    def start(self) -> None:
        """Start the thread, which starts the writer."""
        with self._lock:
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="tao-capture", daemon=True)
                self._thread.start()
                atexit.register(self.close, 5.0)

    def flush(self, limit_s: float) -> bool:
        """Wait until what was taken before is settled: on the disk, or known to be lost."""
        wanted = self._captured
        self._wake()
        with self._settled:
            return self._settled.wait_for(lambda: self._done >= wanted, limit_s)

    def close(self, limit_s: float) -> bool:
        """Send what is left, end the writer, and say whether all was settled in time. Nothing is taken any more."""
        atexit.unregister(self.close)
        end = monotonic() + limit_s
        self._closing = True
        if self._thread is None:
            return self._captured == 0
        whole = self.flush(limit_s)
        self._wake()
        self._thread.join(max(0.0, end - monotonic()))
        writer = self._writer
        if writer is not None:
            with suppress(subprocess.TimeoutExpired):
                writer.wait(max(0.0, end - monotonic()))
        return whole

    def counts(self) -> Mapping[str, int]:
        """See :meth:`tao_ops.serve.capture.Capture.counts`."""
        both = Counter(self._counts)
        both.update(self._of_this_writer)
        names = ("written", "bytes", "left.not_sampled", "left.shadow", "left.unanswered", "left.unreadable")
        return {
            "captured": self._captured,
            "synced": self._done - self._lost,
            **{name: both[name] for name in names},
            "dropped.full": self._full,
            "dropped.lost": self._lost,
            "restarts": self._restarts,
        }

    @property
    def writer_pid(self) -> int | None:
        """The writer's process id; None while there is none."""
        writer = self._writer
        return None if writer is None else writer.pid

    def _wake(self) -> None:
        self._idle = False
        with suppress(BlockingIOError):
            os.write(self._wake_w, b"\0")

    # What follows belongs to the thread.

    def _run(self) -> None:
        while True:
            try:
                if self._step():
                    return
            except Exception as error:  # no process, no pipe, a word that is none: another writer, and never the end
                told = error.strerror if isinstance(error, OSError) else type(error).__name__
                _LOG.error("the capture cannot reach its writer: %s", told)
                self._dead()

    def _step(self) -> bool:
        """Do what can be done now, then wait for what comes; whether the thread has ended."""
        if self._writer is None and monotonic() >= self._start_at:
            self._spawn()
        if self._queue and self._writer is not None:
            self._pack()
            self._send()
        if self._closing and self._done >= self._captured:
            if self._writer is not None and self._writer.stdin is not None:
                self._writer.stdin.close()
            return True
        if self._writer is not None and self._waiting:
            self._send()
        if self._await():
            sleep(GATHER_S)
        return False

    def _await(self) -> bool:
        """Wait for a record, for room in the pipe, for the writer's word; whether there are records to gather."""
        poll = select.poll()
        poll.register(self._wake_r, select.POLLIN)
        writer = self._writer
        said = writer.stdout.fileno() if writer is not None and writer.stdout is not None else -1
        if writer is not None:
            poll.register(said, select.POLLIN)
            if self._waiting and writer.stdin is not None:
                poll.register(writer.stdin.fileno(), select.POLLOUT)
        timeout = None if writer is not None else max(0.0, self._start_at - monotonic()) * 1000
        self._idle = True
        came = bool(self._queue) and writer is not None and len(self._waiting) < _VECTORS
        events = dict(poll.poll(0 if came else timeout))  # it may have come before the flag was up
        self._idle = False
        woken = self._wake_r in events
        if woken:
            with suppress(BlockingIOError):
                os.read(self._wake_r, 4096)
        if said in events:
            self._listen(said)
        return (woken or came) and not self._closing

    def _spawn(self) -> None:
        environment = {**os.environ}
        root = str(Path(tao_ops.__file__).resolve().parent.parent)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
        try:
            writer = subprocess.Popen(
                [self._setup.python, "-m", "tao_ops.serve.capture.writer"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
                start_new_session=True,  # a kill of the server's group leaves it the time to write
            )
        except OSError as error:
            _LOG.error("the capture's writer cannot be started: %s", error.strerror)
            self._dead()
            return
        assert writer.stdin is not None and writer.stdout is not None
        self._writer = writer
        pipe = writer.stdin.fileno()
        with suppress(OSError):  # a limit of the system's; a smaller pipe works too
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE)
        os.set_blocking(pipe, False)
        os.set_blocking(writer.stdout.fileno(), False)
        setup = packed({"kind": "setup", "seq": 0}, body=self._setup.to_json())
        self._waiting.appendleft(_Packed(0, setup, 0))

    def _pack(self) -> None:
        """Make frames of what the event loop put; no more than go at once, the rest stays as it is."""
        while self._queue and len(self._waiting) < _VECTORS:
            item, size = self._queue.popleft()
            self._seq += 1
            if isinstance(item, Raw):
                told = {"kind": "exchange", "seq": self._seq, "made_id": f"{self._token}-{self._seq}", **item.told()}
                data = packed(told, b"".join(item.request), b"".join(item.body))
            else:
                data = packed({**item, "seq": self._seq})
            self._waiting.append(_Packed(self._seq, data, size))

    def _send(self) -> None:
        """Write as much as the pipe takes."""
        writer = self._writer
        assert writer is not None and writer.stdin is not None
        while self._waiting:
            views = [memoryview(one.data) for one in list(self._waiting)[:_VECTORS]]
            views[0] = views[0][self._offset :]
            try:
                written = os.writev(writer.stdin.fileno(), views)
            except BlockingIOError:
                return
            except BrokenPipeError:
                self._dead()
                return
            written += self._offset
            while self._waiting and written >= len(self._waiting[0].data):
                one = self._waiting.popleft()
                written -= len(one.data)
                self._sent.append(one)
            self._offset = written
            self._pack()

    def _listen(self, said: int) -> None:
        try:
            data = os.read(said, 1 << 16)
        except BlockingIOError:
            return
        if not data:
            self._dead()
            return
        *lines, self._said = (self._said + data).split(b"\n")
        if lines:
            told = json.loads(lines[-1])
            self._of_this_writer = told["counts"]
            self._deaths = 0
            self._settle(told["synced"])

    def _settle(self, seq: int) -> None:
        while self._sent and self._sent[0].seq <= seq:
            self._settled_bytes += self._sent.popleft().size
        with self._settled:
            self._done = max(self._done, seq)
            self._settled.notify_all()

    def _dead(self) -> None:
        """Take leave of a writer that died; what it had not synced waits for the next one."""
        writer, self._writer = self._writer, None
        if writer is not None:
            for pipe in (writer.stdin, writer.stdout):
                with suppress(OSError):
                    if pipe is not None:
                        pipe.close()
            if writer.poll() is None:
                writer.kill()
            code = writer.wait()
            self._restarts += 1
            _LOG.error("the capture's writer ended (%s); another is started", code)
        self._counts.update(self._of_this_writer)
        self._of_this_writer, self._said = {}, b""
        begun = [*self._sent, *([self._waiting[0]] if self._offset else [])]
        again = [one for one in (*self._sent, *self._waiting) if one.seq]
        self._sent.clear()
        self._offset = 0
        for one in begun:
            one.tries += 1
        gone = [one for one in again if one.tries >= TRIES]
        self._waiting = deque(one for one in again if one.tries < TRIES)
        self._settled_bytes += sum(one.size for one in gone)
        self._lost += len(gone)
        if gone:
            _LOG.error("%d records are lost: two writers died with them", len(gone))
            self._settle_lost(gone)
        self._start_at = monotonic() + BACKOFF_S[min(self._deaths, len(BACKOFF_S) - 1)]
        self._deaths += 1

    def _settle_lost(self, gone: list[_Packed]) -> None:
        """Lost records are the oldest there are, all others come after them."""
        with self._settled:
            self._done = max(self._done, gone[-1].seq)
            self._settled.notify_all()
