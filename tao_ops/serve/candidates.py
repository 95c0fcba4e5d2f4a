"""The second engine of a server: a canary's candidate, from its start to its end or its growth."""

import asyncio
from collections.abc import Awaitable, Callable

from tao_ops.errors import TaoError
from tao_ops.serve.canary.record import Canary
from tao_ops.serve.lanes import Lanes, Served
from tao_ops.serve.stations import Station


class Candidates:
    """At most one candidate at a time; it belongs to the server's event loop."""

    def __init__(
        self,
        lanes: Lanes,
        *,
        locate: Callable[[int], Awaitable[Served | None]],
        station: Callable[[Served], Station],
        put_aside: Callable[[Station], None],
        refuse: Callable[[int, str], None],
        wake: Callable[[], None],
    ) -> None:
        """Made by the reconciler, of its own parts.

        Args:
            locate: a version's folder; None where it cannot be served.
            station: one for a model, that is not open.
            put_aside: lets a station end what it has, and stops it.
            wake: called once there is a station.
        """
        self._lanes, self._locate, self._make = lanes, locate, station
        self._put_aside, self._refuse, self._wake = put_aside, refuse, wake
        self._begun: tuple[int, asyncio.Task[None]] | None = None
        """The canary whose engine is being started, and what starts it."""
        self._ending: set[asyncio.Task[None]] = set()
        self.station: Station | None = None

    def follow(self, canary: Canary | None, *, waits: bool) -> None:
        """Bring the candidate's lane to ``canary``, None where there is none; with ``waits`` nothing new is started."""
        self.end(canary)
        if canary is None:
            return
        if self.station is not None:
            lanes = self._lanes
            lanes.share, lanes.salt, lanes.canary = canary.share, canary.salt, canary
            lanes.candidate = self.station.lane
        elif self._begun is None and not waits:
            # Beside everything else: meanwhile the champion may move.
            self._begun = (canary.id, asyncio.create_task(self._start(canary.version)))

    def end(self, canary: Canary | None, champion: int | None = None) -> None:
        """End all that is not of ``canary``; a station of the version ``champion`` has grown, and stays to be taken."""
        if self._begun is not None and (canary is None or canary.id != self._begun[0]):
            self._break_off()
        wanted = (champion, None if canary is None else canary.version)
        if self.station is not None and self.station.served.version not in wanted:
            self._put_aside(self.take())

    def take(self) -> Station:
        """Take the station out of its lane; no new request comes to it as the candidate's."""
        station, self.station = self.station, None
        assert station is not None
        self._no_lane()
        return station

    async def close(self) -> None:
        """Stop its engine, and one that is being started."""
        self._break_off()
        station, self.station = self.station, None
        self._no_lane()
        if station is not None:
            await station.close()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _no_lane(self) -> None:
        lanes = self._lanes
        lanes.candidate, lanes.share, lanes.canary = None, 0.0, None

    async def _start(self, version: int) -> None:
        try:
            served = await self._locate(version)
            if served is not None:
                station = self._make(served)
                await station.open()
                self.station = station
        except (TaoError, OSError) as error:
            self._refuse(version, str(error))
        except Exception as error:  # whatever it is: else nobody would try again
            self._refuse(version, f"{type(error).__name__}: {error}")
        self._begun = None
        self._wake()

    def _break_off(self) -> None:
        """The engine that is being started is not needed any more."""
        if self._begun is not None:
            task, self._begun = self._begun[1], None
            task.cancel()
            self._ending.add(task)  # its engine has to be ended before the server may
            task.add_done_callback(self._ending.discard)
