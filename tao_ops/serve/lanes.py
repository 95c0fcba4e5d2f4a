"""Lanes: each an engine that answers, behind a gate that lets its weights change between requests."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tao_ops.errors import EngineError
from tao_ops.serve.exchange import Arm


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

    Attributes:
        url: of the engine's server, without a path: ``http://127.0.0.1:40123``.
        key: the engine's own, which the server's requests carry; no client knows it.
        served: the model that answers now.
        under_way: requests that are being answered.
    """

    def __init__(self, arm: Arm, url: str, key: str, served: Served) -> None:
        self.arm, self.url, self.key, self.served = arm, url, key, served
        self.under_way = 0
        self._open = True
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def request(self, wait_s: float) -> AsyncIterator[Served]:
        """Pass the gate, and count as under way until the end; what is given then is the model of the whole answer.

        Raises:
            EngineError: the gate stayed closed for ``wait_s``.
        """
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait_for(lambda: self._open), wait_s)
            except TimeoutError:
                raise EngineError(
                    f"the model is being changed, for longer than {wait_s:.0f} s", where=self.url, mend="try again"
                ) from None
            self.under_way += 1
        try:
            yield self.served
        finally:
            async with self._changed:
                self.under_way -= 1
                self._changed.notify_all()

    @asynccontextmanager
    async def drained(self, limit_s: float) -> AsyncIterator[bool]:
        """Close the gate, wait for what is under way, and open it again at the end.

        Yields:
            Whether nothing is under way; false once ``limit_s`` is over, and then the weights must stay.
        """
        async with self._changed:
            self._open = False
        try:
            async with self._changed:
                try:
                    await asyncio.wait_for(self._changed.wait_for(lambda: self.under_way == 0), limit_s)
                    empty = True
                except TimeoutError:
                    empty = False
            yield empty
        finally:
            async with self._changed:
                self._open = True
                self._changed.notify_all()


@dataclass
class Lanes:
    """Who answers whom.

    Attributes:
        champion: None until its engine is ready.
        candidate: a canary's; None where there is none.
        share: of the users that the candidate answers.
        salt: what the users' shares are drawn by; another canary has another.
    """

    champion: Lane | None = None
    candidate: Lane | None = None
    share: float = 0.0
    salt: str = ""

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
