"""Lanes: each an engine that answers, behind a gate that lets its weights change between requests."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tao_ops.errors import EngineError
from tao_ops.serve.exchange import Arm

if TYPE_CHECKING:
    from tao_ops.serve.canary.record import Canary


@dataclass(frozen=True)
class Served:
    """The model that a lane's engine holds.

    Attributes:
        version: the registry's; 0 is the base model.
        model_version: digest of the model's files.
        path: the model's folder.
    """

    version: int
    model_version: str
    path: str


class Lane:
    """One engine. All methods belong to the server's event loop.

    The gate's book is kept without a wait in between, so a request that is cancelled anywhere (its client went away)
    is counted neither twice nor for ever.

    Attributes:
        arm: whom it answers as.
        url: of the engine's server, without a path: ``http://127.0.0.1:40123``; another one after a restart.
        key: the engine's own, which the server's requests carry; no client knows it. It changes with ``url``.
        served: the model that answers now.
        under_way: requests that are being answered.
    """

    def __init__(self, arm: Arm, url: str, key: str, served: Served) -> None:
        self.arm, self.url, self.key, self.served = arm, url, key, served
        self.under_way = 0
        self._closers, self._lost = 0, False
        self._open, self._idle = asyncio.Event(), asyncio.Event()
        self._open.set()
        self._idle.set()

    @property
    def up(self) -> bool:
        """Whether its engine lives, as far as is known; the gate may be closed all the same."""
        return not self._lost

    @asynccontextmanager
    async def request(self, wait_s: float) -> AsyncIterator[Served]:
        """Pass the gate, and count as under way until the end; what is given then is the model of the whole answer.

        Raises:
            EngineError: the gate stayed closed for ``wait_s``.
        """
        await self._pass(wait_s)
        self.under_way += 1
        self._idle.clear()
        try:
            yield self.served
        finally:
            self.under_way -= 1
            if not self.under_way:
                self._idle.set()

    async def _pass(self, wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                while not self._open.is_set():  # closed again, it may be, before this one woke up
                    await self._open.wait()
        except TimeoutError:
            why = "the engine is being started again" if self._lost else "the model is being changed"
            raise EngineError(f"{why}, for longer than {wait_s:.0f} s", where=self.url, mend="try again") from None

    @asynccontextmanager
    async def drained(self, limit_s: float) -> AsyncIterator[bool]:
        """Close the gate, wait for what is under way, and open it again at the end.

        Yields:
            Whether nothing is under way; false once ``limit_s`` is over, and then the weights must stay.
        """
        self._closers += 1
        self._turn()
        try:
            yield await self.idle(limit_s)
        finally:
            self._closers -= 1
            self._turn()

    async def idle(self, limit_s: float) -> bool:
        """Wait until nothing is under way; false once ``limit_s`` is over. The gate stays as it is."""
        try:
            async with asyncio.timeout(limit_s):
                while self.under_way:
                    await self._idle.wait()
        except TimeoutError:
            return not self.under_way
        return True

    def lose(self) -> None:
        """The engine is gone: from now on requests wait at the gate, until :meth:`regain`."""
        self._lost = True
        self._turn()

    def regain(self, url: str, key: str, served: Served) -> None:
        """The engine is there again, or another in its place."""
        self.url, self.key, self.served, self._lost = url, key, served, False
        self._turn()

    def _turn(self) -> None:
        if self._lost or self._closers:
            self._open.clear()
        else:
            self._open.set()


@dataclass
class Lanes:
    """Who answers whom.

    Attributes:
        champion: None until its engine is ready.
        candidate: a canary's; None where there is none.
        share: of the users that the candidate answers.
        salt: what the users' shares are drawn by; another canary has another.
        canary: the record that these are of, once its candidate answers; None where there is none.
    """

    champion: Lane | None = None
    candidate: Lane | None = None
    share: float = 0.0
    salt: str = ""
    canary: "Canary | None" = None

    def of(self, user: str) -> Lane | None:
        """The lane of a user; always the same one while a canary lasts. None while no engine is ready."""
        if self.candidate is not None and drawn(self.salt, user) < self.share:
            return self.candidate
        return self.champion


def drawn(salt: str, user: str) -> float:
    """A number in [0, 1), uniform over users, the same each time.

    >>> drawn("canary 1", "anna") == drawn("canary 1", "anna")
    True
    """
    return int.from_bytes(hashlib.sha256(f"{salt}\x1f{user}".encode()).digest()[:7], "big") / (1 << 56)
