"""A server's part in a canary: it tells the database what it counted, looks, and takes a breach back at once."""

import asyncio
import logging

from tao_ops.database import connect
from tao_ops.errors import RegistryError
from tao_ops.registry import canaries
from tao_ops.registry.canaries import Seen
from tao_ops.serve.canary import record
from tao_ops.serve.canary.counting import Counting

EVERY_S = 5.0

_LOG = logging.getLogger(__name__)


class Watch:
    """Pushes counts and looks; one of each server.

    Args:
        url: of the database ``tao``.
        server: names this start of the server.
    """

    def __init__(self, url: str, server: str, counting: Counting) -> None:
        self._url, self._server, self._counting = url, server, counting
        self._failing = False

    async def run(self) -> None:
        """Push and look every few seconds, until cancelled. A database that is away is tried again and never fatal."""
        while True:
            try:
                await self.push()
            except Exception as error:  # whatever is wrong with a canary, the server goes on answering
                _LOG.error("a look at the canary failed: %s", type(error).__name__)
            await asyncio.sleep(EVERY_S)

    async def push(self) -> Seen | None:
        """Tell the counts of now, and look at all servers'; a breach is taken back, and the servers told.

        Returns:
            what was seen; None where no canary runs here, or the database is away.
        """
        if self._counting.counts() is None:
            return None
        try:
            seen = await asyncio.to_thread(self._push)
        except RegistryError as error:
            if not self._failing:
                _LOG.warning("the canary's counts cannot be told, and are kept: %s", error)
            self._failing = True
            return None
        self._failing = False
        return seen

    def _push(self) -> Seen | None:
        import psycopg

        told = self._counting.counts()
        if told is None:
            return None
        number, counts = told
        try:
            with connect(self._url) as connection:
                with connection.transaction():
                    record.put_counts(connection, number, self._server, counts)
                canary = record.by_id(connection, number)
                if canary is None:
                    return None
                seen = canaries.see(connection, canary)
                if canaries.take_back(connection, seen) and seen.look is not None:
                    _LOG.warning("the canary of version %d is over: %s", canary.version, seen.look.why)
                return seen
        except psycopg.Error as error:
            raise RegistryError(f"the registry's database failed: {str(error).splitlines()[0]}") from error
