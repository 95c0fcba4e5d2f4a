"""Who else wants to know of each exchange: told in a thread, from a bounded queue, one after the other."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic

from tao_ops.serve.capture.exchanges import Unreadable, exchange_of
from tao_ops.serve.capture.raw import Raw
from tao_ops.serve.exchange import Exchange

WAITING = 256
"""Exchanges that may wait for the observers; of more the newest are left out, and counted."""
HELD = 64 << 20
"""Bytes of their bodies, likewise."""

_LOG = logging.getLogger(__name__)


class Observing:
    """Parses what the middleware gives it, and calls the observers.

    Attributes:
        missed: exchanges that found the queue full, that nobody could read, or at which an observer failed.
    """

    def __init__(self, observers: Sequence[Callable[[Exchange], None]]) -> None:
        self.missed = 0
        self._taken = self._given = 0  # bytes; written by the event loop alone, and by the thread alone
        self._observers = tuple(observers)
        self._queue: deque[Raw | None] = deque()
        self._some = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name="tao-observers", daemon=True)
        self._thread.start()

    def put(self, raw: Raw) -> None:
        """Take one; belongs to the event loop."""
        if len(self._queue) >= WAITING or self._taken - self._given + raw.size > HELD:
            self.missed += 1
            return
        self._taken += raw.size
        self._queue.append(raw)
        self._some.release()

    def close(self, limit_s: float) -> None:
        """Tell the observers what is left, for so long at most."""
        end = monotonic() + limit_s
        self._queue.append(None)
        self._some.release()
        self._thread.join(max(0.0, end - monotonic()))

    def _run(self) -> None:
        while True:
            self._some.acquire()
            raw = self._queue.popleft()
            if raw is None:
                return
            self._tell(raw)
            self._given += raw.size

    def _tell(self, raw: Raw) -> None:
        try:
            exchange = exchange_of(raw.told(), b"".join(raw.request), b"".join(raw.body))
        except Unreadable:
            return  # what is no completion: a body that the server refused
        except Exception as error:  # whatever an application answers, the others are told
            self.missed += 1
            _LOG.error("an exchange could not be read: %s", type(error).__name__)
            return
        for observer in self._observers:
            try:
                observer(exchange)
            except Exception as error:  # an observer must not end the others
                self.missed += 1
                _LOG.error("an observer of the capture failed: %s", type(error).__name__)
