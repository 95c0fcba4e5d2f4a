"""PostgreSQL: the embedded server, or the one that ``TAO_DATABASE_URL`` names, and connections to it."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from tao_ops.errors import RegistryError
from tao_ops.settings import Settings

if TYPE_CHECKING:
    import psycopg

    from tao_ops.embedded_postgres import EmbeddedPostgres

DATABASE = "tao"
CONNECT_SECONDS = 10


def start_embedded(home: Path) -> "EmbeddedPostgres":
    """Use the server of ``<home>/postgres``; make and start it where needed.

    Raises:
        RegistryError: it does not start, or its package is not installed.
    """
    from tao_ops.embedded_postgres import EmbeddedPostgres

    return EmbeddedPostgres.start(home)


@contextmanager
def database(settings: Settings) -> Iterator[str]:
    """The URL of the database ``tao``: of the server that the settings name, else of the embedded one."""
    if settings.database_url:
        yield settings.database_url
        return
    server = start_embedded(settings.home)
    try:
        yield server.url(DATABASE)
    finally:
        server.stop()


def with_driver(url: str, driver: str | None) -> str:
    """``url`` for a SQLAlchemy driver (``psycopg2``, ``psycopg``, ``asyncpg``), or for libpq where it is None."""
    scheme, rest = url.split("://", 1)
    base = scheme.split("+")[0]
    return f"{base}+{driver}://{rest}" if driver else f"{base}://{rest}"


def sibling_url(url: str, database: str) -> str:
    """The same server, user and options as ``url``, another database."""
    parts = urlsplit(url)
    # An empty host must stay: urlunsplit would drop the slashes of "postgresql:///tao".
    return urlunsplit(parts._replace(path=f"/{quote(database)}", netloc=parts.netloc or "@")).replace("://@/", ":///")


def connect(url: str) -> "psycopg.Connection[dict[str, Any]]":
    """An autocommit connection whose rows are dictionaries; waiting for a lost server is limited.

    Raises:
        RegistryError: no server answers, or it refuses.
    """
    import psycopg
    from psycopg.rows import dict_row

    try:
        return psycopg.connect(
            with_driver(url, None),
            autocommit=True,
            row_factory=dict_row,
            connect_timeout=CONNECT_SECONDS,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            tcp_user_timeout=60_000,
            application_name="tao",
            **_server_keepalives(url),
        )
    except psycopg.Error as error:
        raise RegistryError(
            f"no connection to PostgreSQL: {str(error).splitlines()[0]}",
            where=readable_url(url),
            mend="start the server, or mend TAO_DATABASE_URL",
        ) from None


def _server_keepalives(url: str) -> dict[str, Any]:
    """The server's side of the same: a machine that vanished must not hold a lock for hours."""
    if "options=" in url:
        return {}
    return {"options": "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"}


def ensure_database(url: str) -> None:
    """Make the database of ``url`` where it is missing; several processes may do so at once."""
    import psycopg
    from psycopg import sql

    name = urlsplit(url).path.lstrip("/")
    with connect(sibling_url(url, "postgres")) as connection, advisory_lock(connection, "create database"):
        if connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
            return
        try:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        except psycopg.Error as error:
            raise RegistryError(
                f"cannot make database {name!r}: {str(error).splitlines()[0]}",
                where=readable_url(url),
                mend=f"let an administrator run: create database {name}",
            ) from None


def ensure_schema(connection: "psycopg.Connection[dict[str, Any]]", statements: str) -> None:
    """Run ``create … if not exists`` statements, one creator at a time."""
    with connection.transaction():
        # "if not exists" alone still fails when two sessions create the same table at the same moment.
        connection.execute("set local lock_timeout = '30s'")
        connection.execute("select pg_advisory_xact_lock(%s)", [lock_key("schema")])
        connection.execute(statements.encode())


@contextmanager
def advisory_lock(
    connection: "psycopg.Connection[dict[str, Any]]",
    name: str,
    *,
    seconds: float = 60.0,
    waiting: Callable[[], None] | None = None,
) -> Iterator[None]:
    """Hold the lock ``name`` of the connection's database; it goes with the connection if the process dies.

    Args:
        seconds: how long to wait for another holder.
        waiting: called once, when a wait begins.

    Raises:
        RegistryError: another session held it for ``seconds``.
    """
    import psycopg

    key, deadline = [lock_key(name)], time.monotonic() + seconds
    while not connection.execute("select pg_try_advisory_lock(%s) as held", key).fetchone()["held"]:  # type: ignore[index]
        if waiting is not None:
            waiting()
            waiting = None
        if time.monotonic() > deadline:
            raise RegistryError(f"waited {seconds:.0f} s for the lock {name!r}", mend="see who holds it and try again")
        time.sleep(0.05)
    try:
        yield
    finally:
        # A broken connection has dropped the lock already, and its error would hide the one under way.
        with suppress(psycopg.OperationalError):
            connection.execute("select pg_advisory_unlock(%s)", key)


def front_door(flywheel: str) -> str:
    """The name of the lock under which a flywheel's queries and prompts are taken, and a person's are erased."""
    return f"front door {flywheel}"


def lock_key(name: str) -> int:
    """A signed 64-bit key for PostgreSQL's advisory locks."""
    return int.from_bytes(hashlib.sha256(f"tao:{name}".encode()).digest()[:8], "big", signed=True)


def readable_url(url: str) -> str:
    """``url`` without its password."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    return url.replace(f":{parts.password}@", ":***@", 1)
