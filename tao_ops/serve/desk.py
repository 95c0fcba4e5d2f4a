"""What a server asks of the database and writes into it, off its event loop."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tao_ops.database import CONNECT_SECONDS, connect, with_driver
from tao_ops.errors import ModelError, RegistryError
from tao_ops.models import model_ref
from tao_ops.registry import record
from tao_ops.serve import servers
from tao_ops.serve.canary import record as canaries
from tao_ops.serve.lanes import Served
from tao_ops.serve.locate import locate
from tao_ops.serve.servers import Standing

if TYPE_CHECKING:
    import psycopg

    from tao_ops.serve.canary.record import Canary

    Connection = psycopg.Connection[dict[str, Any]]

_T = TypeVar("_T")
_AGAIN_SECONDS = (1.0, 2.0, 5.0, 10.0)
_STATEMENT_MS = 10_000


@dataclass(frozen=True)
class Wanted:
    """What the record says: the champion's version, and the canary that runs."""

    champion: int
    canary: "Canary | None" = None


class Desk:
    """The database of one server, over one connection that is made anew where it was lost."""

    def __init__(self, flywheel: str, url: str) -> None:
        """``url`` is of the database ``tao``."""
        self._flywheel, self._url = flywheel, url
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._known: dict[int, Served] = {}

    async def look(self) -> Wanted:
        """What is wanted now.

        Raises:
            RegistryError: the database does not answer.
        """
        return await asyncio.to_thread(self._do, self._look)

    async def locate(self, version: int) -> Served:
        """A version's folder, checked; see :func:`tao_ops.serve.locate.locate`.

        One that was found before only has its content looked at again: a rollback is quick.
        """
        known = self._known.get(version)
        if known is None or not await asyncio.to_thread(_still_there, known):
            known = self._known[version] = await locate(self._flywheel, version, self._url)
        return known

    async def beat(self, standing: Standing) -> None:
        """Write down how the server stands.

        Raises:
            RegistryError: the database does not answer.
        """
        await asyncio.to_thread(self._do, lambda connection: servers.beat(connection, standing))

    async def listen(self, call: Callable[[], None]) -> None:
        """Call ``call`` whenever somebody says that the flywheel's record has moved, and after each loss; for ever."""
        import psycopg

        for attempt in range(1_000_000_000):
            try:
                connection = await psycopg.AsyncConnection.connect(
                    with_driver(self._url, None), autocommit=True, connect_timeout=CONNECT_SECONDS
                )
                async with connection:
                    await connection.execute(f"listen {canaries.CHANNEL}".encode())
                    call()  # what was said before nobody heard
                    async for told in connection.notifies():
                        if told.payload == self._flywheel:
                            call()
            except (psycopg.Error, OSError):
                pass  # told by look, which asks the same database
            await asyncio.sleep(_AGAIN_SECONDS[min(attempt, len(_AGAIN_SECONDS) - 1)])

    async def close(self) -> None:
        """Close the connection."""
        await asyncio.to_thread(self._drop)

    def _look(self, connection: "Connection") -> Wanted:
        return Wanted(record.current(connection, self._flywheel), canaries.current(connection, self._flywheel))

    def _do(self, ask: "Callable[[Connection], _T]") -> _T:
        import psycopg

        with self._lock:
            try:
                if self._connection is None:
                    self._connection = connect(self._url)
                    self._connection.execute(f"set statement_timeout = {_STATEMENT_MS}".encode())
                    record.ensure_tables(self._connection)
                    servers.ensure_tables(self._connection)
                return ask(self._connection)
            except (psycopg.Error, OSError) as error:
                self._close()
                raise RegistryError(
                    f"the database does not answer: {' '.join(str(error).split())[:200]}",
                    mend="it is asked again by itself",
                ) from None
            except RegistryError:
                self._close()
                raise

    def _drop(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _still_there(served: Served) -> bool:
    try:
        return model_ref(Path(served.path)).model_version == served.model_version
    except (ModelError, OSError):
        return False
