"""The embedded server lives as long as its users, and a server that is away is one clear line."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from tao_ops.database import (
    DATABASE,
    advisory_lock,
    connect,
    database,
    ensure_database,
    ensure_schema,
    sibling_url,
    start_embedded,
    with_driver,
)
from tao_ops.embedded_postgres import EmbeddedPostgres
from tao_ops.errors import RegistryError
from tao_ops.settings import PROJECT, Settings

_USER = """
import sys, time
from pathlib import Path
from tao_ops.database import start_embedded
server = start_embedded(Path(sys.argv[1]))
print(server.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tao-") as folder:
        yield Path(folder)


def _eventually(holds: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _user(home: Path) -> "tuple[subprocess.Popen[str], int]":
    process = subprocess.Popen(
        [sys.executable, "-c", _USER, str(home)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def _kill(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_the_last_user_stops_the_server_and_data_stays(home: Path) -> None:
    first = start_embedded(home)
    pid = first.pid
    assert pid is not None
    with connect(first.url("tao")) as connection:
        connection.execute("create table kept as select 7 as n")
    second = start_embedded(home)
    first.stop()
    first.stop()
    assert second.pid == pid
    second.stop()
    assert not _running(pid)
    third = start_embedded(home)
    with connect(third.url("tao")) as connection:
        assert connection.execute("select n from kept").fetchone() == {"n": 7}
    third.stop()


def test_a_killed_user_keeps_no_server_and_stops_nobody_elses(home: Path) -> None:
    starter, pid = _user(home)
    ours = start_embedded(home)
    _kill(starter)
    assert ours.pid == pid
    with connect(ours.url("tao")) as connection:
        assert connection.execute("select 1 as one").fetchone() == {"one": 1}
    ours.stop()
    assert not _running(pid)

    alone, pid = _user(home)
    _kill(alone)
    assert _eventually(lambda: not _running(pid))
    again = start_embedded(home)
    assert again.pid not in (None, pid)
    again.stop()


def test_a_killed_server_starts_again(home: Path) -> None:
    first = start_embedded(home)
    assert first.pid is not None
    old = first.pid
    os.kill(old, signal.SIGKILL)
    assert _eventually(lambda: not _running(old))
    second = start_embedded(home)
    with connect(second.url("tao")) as connection:
        assert connection.execute("select 1 as one").fetchone() == {"one": 1}
    second.stop()
    first.stop()
    assert second.pid is None and first.pid is None


def test_what_a_killed_initdb_left_is_made_anew(home: Path) -> None:
    (home / "postgres.new").mkdir()
    (home / "postgres.new" / "PG_VERSION").write_text("18\n")
    # The number of a process that lives and is no PostgreSQL, as after a restart of the machine.
    (home / "postgres").mkdir()
    (home / "postgres" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    server = start_embedded(home)
    assert server.pid not in (None, os.getpid())
    server.stop()


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_urls_serve_sqlalchemy(postgres: EmbeddedPostgres, driver: str) -> None:
    engine = sqlalchemy.create_engine(postgres.url("by_driver", driver))
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("select current_database()")).scalar() == "by_driver"
    engine.dispose()


def test_urls_serve_asyncpg(postgres: EmbeddedPostgres) -> None:
    async def ask() -> object:
        engine = create_async_engine(postgres.url("by_driver", "asyncpg"))
        async with engine.connect() as connection:
            found = (await connection.execute(sqlalchemy.text("select current_database()"))).scalar()
        await engine.dispose()
        return found

    assert asyncio.run(ask()) == "by_driver"


def test_the_server_listens_on_no_network(postgres: EmbeddedPostgres) -> None:
    assert postgres.pid is not None
    kinds = {c.type for c in psutil.Process(postgres.pid).net_connections(kind="inet")}
    assert kinds == set()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql:///tao?host=/x", "postgresql:///mlflow?host=/x"),
        ("postgresql://postgres@/tao?host=/x%20y", "postgresql://postgres@/mlflow?host=/x%20y"),
        ("postgresql://u:p@h:5432/tao?sslmode=require", "postgresql://u:p@h:5432/mlflow?sslmode=require"),
        ("postgresql+psycopg://u@h", "postgresql+psycopg://u@h/mlflow"),
    ],
)
def test_sibling_url(url: str, expected: str) -> None:
    assert sibling_url(url, "mlflow") == expected
    assert with_driver(url, None).startswith("postgresql://")


def test_no_server_is_one_line_without_the_password() -> None:
    with pytest.raises(RegistryError) as caught:
        connect("postgresql://tao:secret@127.0.0.1:1/tao")
    said = str(caught.value)
    assert "\n" not in said and "secret" not in said and "TAO_DATABASE_URL" in said


def test_settings_choose_the_server(home: Path) -> None:
    places = {"cache": home, "lake": str(home), "include": home, "hash_key": None}
    with database(Settings(home=home, database_url="postgresql://elsewhere/tao", **places)) as url:
        assert url == "postgresql://elsewhere/tao"
    with database(Settings(home=home, database_url=None, **places)) as url:
        with connect(url) as connection:
            assert connection.execute("select current_database() as d").fetchone() == {"d": DATABASE}
        pid = int((home / "postgres" / "postmaster.pid").read_text().split()[0])
    assert not _running(pid)


def test_databases_and_tables_are_made_by_many_at_once(postgres: EmbeddedPostgres) -> None:
    url = sibling_url(postgres.url("postgres"), "made_by_many")
    failed: list[Exception] = []

    def make() -> None:
        try:
            ensure_database(url)
            with connect(url) as connection:
                ensure_schema(connection, "create table if not exists t (n int); create index if not exists i on t (n)")
        except (RegistryError, psycopg.Error) as error:
            failed.append(error)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    with connect(url) as connection:
        assert connection.execute("select count(*) as n from t").fetchone() == {"n": 0}


def test_an_advisory_lock_waits_no_longer_than_it_says(database_url: str) -> None:
    with connect(database_url) as holder, connect(database_url) as other:
        with (
            advisory_lock(holder, "x"),
            pytest.raises(RegistryError, match="waited"),
            advisory_lock(other, "x", seconds=0.2),
        ):
            pass
        with advisory_lock(other, "x", seconds=0.2):
            assert holder.execute("select pg_try_advisory_lock_shared(1) and false as n").fetchone() is not None


def test_a_wait_for_a_lock_is_said_once_and_only_where_there_is_one(database_url: str) -> None:
    said: list[str] = []

    def waiting() -> None:
        said.append("waits")

    with connect(database_url) as holder, connect(database_url) as other:
        with advisory_lock(other, "x", waiting=waiting):
            assert said == []
        with (
            advisory_lock(holder, "x"),
            pytest.raises(RegistryError, match="for the lock 'x'"),
            advisory_lock(other, "x", seconds=0.3, waiting=waiting),
        ):
            pass
        assert said == ["waits"]
        with advisory_lock(holder, "x"), advisory_lock(other, "y", waiting=waiting):
            assert said == ["waits"]


def test_a_lost_connection_frees_the_lock_and_hides_no_error(database_url: str) -> None:
    with connect(database_url) as holder, connect(database_url) as other:
        with pytest.raises(ZeroDivisionError), advisory_lock(holder, "x"):
            other.execute("select pg_terminate_backend(%s)", [holder.info.backend_pid])
            raise ZeroDivisionError
        with advisory_lock(other, "x", seconds=5):
            assert other.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
