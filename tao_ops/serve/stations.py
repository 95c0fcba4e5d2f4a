"""A lane with the engine behind it: started, changed in place, and started again where its engine dies."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from tao_ops.errors import TaoError
from tao_ops.models import tensors
from tao_ops.records import Progress
from tao_ops.serve.engines import EngineBroken, WeightsRefused
from tao_ops.serve.exchange import Arm
from tao_ops.serve.lanes import Lane, Served

_SAME_FILES = ("tokenizer.json", "chat_template.jinja")
_SAME_JSON = ("config.json", "tokenizer_config.json", "generation_config.json")
_SAYS_NOTHING = {"transformers_version", "_name_or_path", "_model_name_or_path"}
_BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_GRACE_S = 10.0


class EngineLike(Protocol):
    """What a station needs of :class:`tao_ops.serve.engines.Engine`."""

    served: Served
    url: str
    key: str

    async def start(self, served: Served | None = None) -> None:
        """Start it again, with another model where one is named."""

    async def reload(self, served: Served) -> None:
        """Change its weights."""

    async def ended(self) -> int:
        """Wait until it has died."""

    async def stop(self, grace_s: float = 10.0) -> None:
        """End it; it may be started again."""

    async def close(self) -> None:
        """End it for good."""


class PutOff(TaoError):
    """The requests under way did not end in time; the weights stay for now."""

    retryable = True


class Down(TaoError):
    """The engine is being started again; it is no fault of the version."""

    retryable = True


class Overtaken(TaoError):
    """While the requests under way were waited for, the record moved on: there is something newer to take."""

    retryable = True


class Station:
    """One lane, and the engine that answers for it."""

    def __init__(self, engine: EngineLike, arm: Arm, *, say: Progress) -> None:
        self._engine, self._arm, self._say = engine, arm, say
        self._watching: asyncio.Task[None] | None = None
        self.lane: Lane | None = None
        self.instead: Served | None = None
        """What a restart may begin with where the weights that it had can be loaded no more."""
        self.trouble: str | None = None
        """Why its engine is down; None while it is up."""

    @property
    def served(self) -> Served:
        """The model that it answers with."""
        return self._engine.served if self.lane is None else self.lane.served

    async def open(self) -> Lane:
        """Start the engine, and from then on see that it lives.

        Raises:
            EngineError: it did not start; nothing of it is left.
        """
        try:
            await self._engine.start()
        except BaseException:  # being cancelled too
            await self._engine.close()
            raise
        self.lane = Lane(self._arm, self._engine.url, self._engine.key, self._engine.served)
        self._watching = asyncio.create_task(self._watch(self.lane))
        return self.lane

    async def change(self, served: Served, drain_s: float, still_wanted: Callable[[], Awaitable[bool]]) -> None:
        """Put other weights of the same shape in place, between requests.

        Raises:
            PutOff: requests were under way for longer than ``drain_s``.
            Overtaken: ``still_wanted`` said no once they had ended.
            Down: the engine is not there; it is being started again.
            WeightsRefused: the engine did not take them, and answers as before.
            EngineBroken: it broke over them; it is being started again, with those that it had.
        """
        lane = self.lane
        if lane is None or not lane.up:
            raise Down("the engine is being started again")
        async with lane.drained(drain_s) as empty:
            if not empty:
                raise PutOff(
                    f"{lane.under_way} requests were under way for longer than {drain_s:.0f} s",
                    mend="it is tried again by itself; serve.drain is how long it waits",
                )
            if not await still_wanted():
                raise Overtaken("a newer version is wanted by now")
            if not lane.up:
                raise Down("the engine died before it was given the weights")
            try:
                await self._engine.reload(served)
            except EngineBroken:
                if lane.up:  # else the watch has begun already to start it again, with the weights that it had
                    lane.lose()
                    await self._engine.stop(0)
                raise
            lane.served = served

    def become(self, arm: Arm) -> None:
        """Answer as ``arm`` from the next request on."""
        self._arm = arm
        if self.lane is not None:
            self.lane.arm = arm

    async def retire(self, limit_s: float) -> None:
        """Wait until what is under way has ended, at most so long, and stop the engine; no new request comes in."""
        if self.lane is not None:
            await self.lane.idle(limit_s)
        await self.close()

    async def close(self) -> None:
        """Stop the engine now."""
        if self._watching is not None:
            self._watching.cancel()
            with suppress(asyncio.CancelledError):
                await self._watching
        if self.lane is not None:
            self.lane.lose()
        await self._engine.close()

    async def _watch(self, lane: Lane) -> None:
        while True:
            code = await self._engine.ended()
            lane.lose()
            self.trouble = f"the engine ended with {code}"
            self._say(f"{self.trouble}; it is started again")
            await self._restart(lane)
            self.trouble = None

    async def _restart(self, lane: Lane) -> None:
        for attempt in range(1_000_000):
            wait_s = _BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)]
            choices = [lane.served] if self.instead in (None, lane.served) else [lane.served, self.instead]
            served = choices[attempt % len(choices)]
            assert served is not None
            try:
                await self._engine.start(served)
            except Exception as error:  # whatever it is: who waits at the gate has no other hope
                self.trouble = str(error) or type(error).__name__
                self._say(f"{self.trouble}; again in {wait_s:.0f} s")
                await asyncio.sleep(wait_s)
            else:
                lane.regain(self._engine.url, self._engine.key, served)
                return


def other_shape(old: str, new: str) -> str | None:
    """What of two model folders differs so that one engine cannot change from one to the other; None where nothing.

    Weights of the same names, shapes and types can be put in place of one another; everything else that an engine
    reads (configuration, tokenizer, chat template, defaults of sampling) it reads once, when it starts.

    Raises:
        ModelError: a folder's weights cannot be read.
        OSError: likewise.
    """
    a, b = Path(old), Path(new)
    for name in _SAME_FILES:
        if _bytes(a / name) != _bytes(b / name):
            return name
    for name in _SAME_JSON:
        if _settings(a / name) != _settings(b / name):
            return name
    return None if tensors(a) == tensors(b) else "the weights' names, shapes or types"


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _settings(path: Path) -> dict[str, Any] | None:
    """A JSON file's values, without those that change nothing in a model."""
    if not path.is_file():
        return None
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {name: value for name, value in told.items() if name not in _SAYS_NOTHING}


__all__ = ["Down", "EngineBroken", "EngineLike", "Overtaken", "PutOff", "Station", "WeightsRefused", "other_shape"]
