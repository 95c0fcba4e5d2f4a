"""A server makes itself serve what the champion record says, and says how far it is."""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tao_ops.errors import ModelError, RegistryError, TaoError
from tao_ops.records import Progress
from tao_ops.serve import state
from tao_ops.serve.canary.record import Canary
from tao_ops.serve.candidates import Candidates
from tao_ops.serve.desk import Wanted
from tao_ops.serve.exchange import Arm
from tao_ops.serve.lanes import Lanes, Served
from tao_ops.serve.refused import Refusals
from tao_ops.serve.servers import BEAT_SECONDS, ServerState, Standing
from tao_ops.serve.stations import Down, EngineBroken, EngineLike, Overtaken, PutOff, Station, other_shape

_T = TypeVar("_T")
POLL_SECONDS = 3.0
"""Between two looks at the record; a move tells of itself at once besides."""
_RECONCILE_S = 30.0


class DeskLike(Protocol):
    """What is asked of :class:`tao_ops.serve.desk.Desk`."""

    async def look(self) -> Wanted:
        """What is wanted now."""

    async def locate(self, version: int) -> Served:
        """A version's folder, checked."""

    async def beat(self, standing: Standing) -> None:
        """Write down how the server stands."""

    async def listen(self, call: Callable[[], None]) -> None:
        """Call whenever there may be something new; for ever."""

    async def close(self) -> None:
        """No more is asked."""


@dataclass(frozen=True)
class Identity:
    """Who the server is.

    Attributes:
        server: its name, the same after a restart; ``folder`` is its own below ``$TAO_HOME``.
        url: where clients find it.
    """

    server: str
    flywheel: str
    url: str
    folder: Path
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Reconciler:
    """Follows the record, one step at a time; it belongs to the server's event loop.

    Attributes:
        swaps: how often the champion's weights were changed, in place or by another engine's taking over.
        put_off: how often that had to wait for requests that did not end.
    """

    def __init__(
        self,
        identity: Identity,
        lanes: Lanes,
        desk: DeskLike,
        engine: Callable[[Served, str], EngineLike],
        *,
        drain_s: float = 60.0,
        request_s: float = 600.0,
        say: Progress = print,
        poll_s: float = POLL_SECONDS,
    ) -> None:
        """``engine`` makes one that is not started, of a model, with a label for its log.

        Args:
            drain_s: how long new requests wait for those under way before a change of the weights.
            request_s: how long a request may take, and so an engine that nobody new is sent to.
        """
        self._identity, self._lanes, self._desk, self._engine = identity, lanes, desk, engine
        self._drain_s, self._request_s, self._say, self._poll_s = drain_s, request_s, say, poll_s
        self._champion: Station | None = None
        self._wake, self._started = asyncio.Event(), 0
        self._refused = Refusals()
        self._not_before = 0.0
        self._wanted: int | None = None
        self._changing = False
        self._blind: str | None = None
        self._late: str | None = None
        self._said = ""
        self._steps_begun = self._steps_done = 0
        self._aside: dict[asyncio.Task[None], Station] = {}
        self._candidates = Candidates(
            lanes,
            locate=self._located,
            station=lambda served: self._new(served, Arm.CANDIDATE),
            put_aside=self._put_aside,
            refuse=self._refuse,
            wake=self._wake.set,
        )
        self.swaps = self.put_off = 0

    def wake(self, *, again: bool = False) -> None:
        """Look at the record now; with ``again`` at versions too that could not be taken before."""
        if again:
            self._refused.clear()
            self._not_before = 0.0
        self._wake.set()

    async def reconcile(self) -> dict[str, Any]:
        """Look at the record now, at what could not be taken before too, and say what came of it.

        A new engine's start is not waited for: the answer comes once what takes seconds is through.
        """
        wanted, until = self._steps_begun + 1, time.monotonic() + self._drain_s + _RECONCILE_S
        self.wake(again=True)
        while self._steps_done < wanted and time.monotonic() < until:
            await asyncio.sleep(0.05)
        return self.status()

    @property
    def waiting_for(self) -> str | None:
        """What is missing where nothing answers; None where something does.

        Everybody may read it: no path, address or name is in it, as there may be in the error that ``standing`` has.
        """
        if self._champion is not None:
            return None if self._champion.trouble is None else "the engine, which is being started again"
        if self._blind is not None:
            return "the champion record, which cannot be read"
        return "a version that can be served" if self._refused.reasons() else "the engine, which is being started"

    def status(self) -> dict[str, Any]:
        """All that an administrator wants to know."""
        lanes = {"champion": self._lanes.champion, "candidate": self._lanes.candidate}
        told = {
            name: {"version": lane.served.version, "up": lane.up, "under_way": lane.under_way}
            for name, lane in lanes.items()
            if lane is not None
        }
        canary = None if self._lanes.canary is None else self._lanes.canary.as_dict()
        return {
            **self.standing().as_dict(),
            "waiting_for": self.waiting_for,
            "engines": told,
            "canary": canary,
            "swaps": self.swaps,
            "put_off": self.put_off,
        }

    async def run(self) -> None:
        """Follow the record until cancelled; the engines are stopped then."""
        helpers = [asyncio.create_task(self._desk.listen(self.wake)), asyncio.create_task(self._beats())]
        try:
            while True:
                self._wake.clear()
                await self.step()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._poll_s):
                        await self._wake.wait()
        finally:
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await self.close()

    async def step(self) -> None:
        """One look at the record, and what follows from it."""
        self._steps_begun += 1
        try:
            await self._step()
        finally:
            self._steps_done = self._steps_begun

    async def _step(self) -> None:
        try:
            wanted = await self._desk.look()
        except RegistryError as error:
            await self._without_database(error)
            return
        if self._blind is not None:
            self._say("the database answers again")
        self._blind, self._said = None, ""
        if wanted.champion != self._wanted:
            self._wanted, self._not_before, self._late = wanted.champion, 0.0, None
        self._forget(wanted)
        self._candidates.end(wanted.canary, wanted.champion)  # now: what follows may take minutes
        await self._follow(wanted.champion)
        self._follow_canary(wanted.canary)

    async def close(self) -> None:
        """Stop the engines, and say so to the database where it answers."""
        champion, self._champion, self._lanes.champion = self._champion, None, None
        aside = dict(self._aside)
        for task in aside:
            task.cancel()
        await asyncio.gather(*aside, return_exceptions=True)
        stations = [*aside.values(), *([] if champion is None else [champion])]
        closing = [self._candidates.close(), *(station.close() for station in stations)]
        await asyncio.gather(*closing, return_exceptions=True)
        with suppress(RegistryError, TimeoutError):
            async with asyncio.timeout(5):
                await self._desk.beat(self.standing(ServerState.STOPPED))
        await self._desk.close()

    def standing(self, as_state: ServerState | None = None) -> Standing:
        """How the server stands now."""
        me, champion = self._identity, self._champion
        served = None if champion is None else champion.served
        return Standing(
            server=me.server,
            flywheel=me.flywheel,
            url=me.url,
            host=me.host,
            pid=me.pid,
            started_at=me.started_at,
            state=as_state or self._state(),
            version=None if served is None else served.version,
            model_version=None if served is None else served.model_version,
            candidate=None if self._lanes.candidate is None else self._lanes.candidate.served.version,
            wanted=self._wanted,
            error=self._error(),
        )

    def _state(self) -> ServerState:
        if self._champion is None:
            return ServerState.STARTING
        if self._champion.trouble is not None:
            return ServerState.DOWN
        if self._changing or self._late is not None:
            return ServerState.CHANGING
        return ServerState.KEEPS if self._refused.why(self._wanted) else ServerState.SERVING

    def _error(self) -> str | None:
        stations = [one for one in (self._champion, self._candidates.station) if one is not None]
        told = [self._blind, *(one.trouble for one in stations), self._late, *self._refused.reasons()]
        return "; ".join(one for one in told if one) or None

    async def _without_database(self, error: RegistryError) -> None:
        self._blind = f"the champion record cannot be read: {error}"
        if self._said != self._blind:
            self._said = self._blind
            self._say(self._blind)
        last = state.kept(self._identity.folder)
        if self._champion is None and last is not None and not self._refused.waits(last.version):
            self._say(f"without the database, version {last.version} is served, as it was last")
            await self._take(last)

    async def _follow(self, version: int) -> None:
        """Bring the champion's lane to ``version``, or find out why it cannot be."""
        station = self._champion
        if station is not None and station.served.version == version:
            self._late = None
            station.instead = None
            if self._refused.why(version) is not None:  # its engine broke over it, and came back with it
                self._served(station.served)
            return
        if self._refused.waits(version) or time.monotonic() < self._not_before:
            return
        served = await self._located(version)
        if served is not None:
            await self._take(served)
        if self._champion is None:  # the first start: what was served last is better than nothing
            last = state.kept(self._identity.folder)
            if last is not None and last.version != version and not self._refused.waits(last.version):
                self._say(f"version {last.version} is served for now, as it was last")
                await self._take(last)

    async def _take(self, served: Served) -> None:
        self._changing = True
        try:
            await self._bring(served)
        except PutOff as error:
            self.put_off += 1
            # As long as the gate was closed it is open now, at least.
            self._late, self._not_before = str(error), time.monotonic() + self._drain_s
            self._say(f"version {served.version} is put off: {error}")
        except Overtaken:
            self._wake.set()
        except Down as error:
            self._late, self._not_before = str(error), time.monotonic() + self._poll_s
        except EngineBroken as error:
            # Once it may be chance; a version that breaks the engine again is left alone for longer.
            self._refuse(served.version, str(error), soon=self._refused.why(served.version) is None)
        except (TaoError, OSError) as error:
            self._refuse(served.version, str(error))
        except Exception as error:  # whatever is wrong with a version: what is served already goes on
            self._refuse(served.version, f"{type(error).__name__}: {error}")
        finally:
            self._changing = False

    async def _bring(self, served: Served) -> None:
        old, candidate = self._champion, self._candidates.station
        if old is None:
            await self._start_champion(served)
        elif candidate is not None and _same(candidate.served, served) and candidate.trouble is None:
            self._grow(old)
        elif (why := await asyncio.to_thread(other_shape, old.served.path, served.path)) is None:
            old.instead = served
            await old.change(served, self._drain_s, self._still)
        else:
            self._say(f"version {served.version} needs an engine of its own: it has another {why}")
            await self._start_champion(served)
        self.swaps += old is not None
        self._served(served)

    async def _start_champion(self, served: Served) -> None:
        """With an engine of its own; the old one answers until it is warm."""
        old, station = self._champion, self._new(served, Arm.CHAMPION)
        try:
            lane = await self._while_wanted(station.open())
        except BaseException:
            await station.close()  # it may have become warm in that very moment
            raise
        self._lanes.champion, self._champion = lane, station
        if old is not None:
            self._put_aside(old)

    async def _while_wanted(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do what takes minutes, unless the record moves on meanwhile."""
        task = asyncio.create_task(work)
        try:
            while not (await asyncio.wait([task], timeout=self._poll_s))[0]:
                if self._blind is None and not await self._still():
                    raise Overtaken("another version is wanted by now")
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])

    def _grow(self, old: Station) -> None:
        """The canary has grown: its engine answers everybody, and the champion's is not needed any more."""
        station = self._candidates.take()
        station.become(Arm.CHAMPION)
        self._lanes.champion, self._champion = station.lane, station
        self._put_aside(old)

    def _served(self, served: Served) -> None:
        self._late = None
        self._refused.forget(served.version)
        with suppress(OSError):  # a full disk is no reason not to serve
            state.keep(self._identity.folder, served)
        self._say(f"version {served.version} ({served.model_version}) answers")

    def _follow_canary(self, canary: Canary | None) -> None:
        champion = self._champion
        if champion is None or (canary is not None and canary.version == champion.served.version):
            canary = None  # there is nothing to compare it with, or it has grown
        if (station := self._candidates.station) is not None:
            self._refused.forget(station.served.version)  # it could be taken after all
        self._candidates.follow(canary, waits=canary is not None and self._refused.waits(canary.version))

    def _new(self, served: Served, arm: Arm) -> Station:
        self._started += 1
        return Station(self._engine(served, f"engine-{self._started}"), arm, say=self._say)

    def _put_aside(self, station: Station) -> None:
        """Let a station end what it has under way, and stop it, beside everything else."""
        task = asyncio.create_task(station.retire(self._request_s))
        self._aside[task] = station
        task.add_done_callback(lambda done: self._aside.pop(done, None))

    async def _located(self, version: int) -> Served | None:
        try:
            served = await self._desk.locate(version)
        except ModelError as error:
            self._refuse(version, str(error))
        except (RegistryError, OSError) as error:  # may be otherwise in a moment
            self._refuse(version, str(error), soon=True)
        else:
            return served
        return None

    async def _still(self) -> bool:
        """Whether the record says what it said when this step began, as far as can be known; a canary that it has no
        more ends here too.
        """
        if self._wanted is None:
            return True
        try:
            wanted = await self._desk.look()
        except RegistryError:
            return True
        self._candidates.end(wanted.canary, wanted.champion)
        return wanted.champion == self._wanted

    def _refuse(self, version: int, why: str, *, soon: bool = False) -> None:
        wait_s = self._refused.add(version, why, soon=soon)
        self._say(f"version {version} cannot be served: {why}; it is tried again in {wait_s:.0f} s")

    def _forget(self, wanted: Wanted) -> None:
        """What was wrong with versions that nobody wants any more."""
        needed = {wanted.champion, wanted.canary.version if wanted.canary is not None else wanted.champion}
        if self._champion is None and (last := state.kept(self._identity.folder)) is not None:
            needed.add(last.version)
        self._refused.keep_only(needed)

    async def _beats(self) -> None:
        """Tell the database how the server stands: at each change, and else every ten seconds."""
        last, at = None, 0.0
        while True:
            now = self.standing()
            if now != last or time.monotonic() - at > BEAT_SECONDS:
                with suppress(RegistryError):  # told by step
                    await self._desk.beat(now)
                    last, at = now, time.monotonic()
            await asyncio.sleep(min(0.5, self._poll_s))


def _same(one: Served, other: Served) -> bool:
    return (one.version, one.model_version) == (other.version, other.model_version)
