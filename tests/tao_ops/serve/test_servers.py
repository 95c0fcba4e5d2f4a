"""Servers' rows in PostgreSQL, how they hear of a move, and what a lost database does to both."""

import asyncio
import doctest
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tao_ops.database import connect
from tao_ops.errors import RegistryError
from tao_ops.registry import record
from tao_ops.serve import locate, servers, state
from tao_ops.serve.desk import Desk, Wanted
from tao_ops.serve.lanes import Served
from tao_ops.serve.servers import ServerState, Standing, deployed, standing

AT = datetime(2026, 11, 21, tzinfo=UTC)
ONE = Standing("a", "tickets", "http://a", "host", 1, ServerState.SERVING, AT, version=0, model_version="m", wanted=0)


def _move(url: str, version: int) -> None:
    with connect(url) as connection, connection.transaction():
        record.ensure_tables(connection)
        record.current(connection, "tickets", for_update=True)
        record.set_current(connection, "tickets", version)


def test_deployed_says_which_live_servers_are_on_the_champion(database_url: str) -> None:
    with connect(database_url) as connection:
        assert deployed(connection, "tickets").describe() == "no server lives; the champion is version 0"
        servers.ensure_tables(connection)
        late = replace(ONE, server="b", version=None, state=ServerState.STARTING, error="loading")
        other = replace(ONE, server="c", flywheel="shop")
        gone, down = replace(ONE, server="d"), replace(ONE, server="e", state=ServerState.DOWN)
        stopped = replace(ONE, server="f", version=7, state=ServerState.STOPPED)
        for one in (ONE, late, other, gone, down, stopped):
            servers.beat(connection, one)
        connection.execute("update servers set seen_at = now() - interval '61 seconds' where server = 'd'")
        found = deployed(connection, "tickets")
        assert [one.server for one in found.on] == ["a"] and [one.server for one in found.behind] == ["b", "e"]
        assert not found.done and "b starting nothing (loading)" in found.describe()
        assert [one.server for one in standing(connection, "tickets", every=True)] == ["a", "b", "d", "e", "f"]
        for name in ("b", "e"):
            servers.beat(connection, replace(ONE, server=name))
        assert deployed(connection, "tickets").done
        _move(database_url, 3)
        assert [one.server for one in deployed(connection, "tickets").behind] == ["a", "b", "e"]
        told = standing(connection, "tickets")[0].as_dict()
        assert told["seen_at"] and json.dumps(told)


def test_a_server_hears_of_a_move_at_once_and_only_of_its_own_flywheel(database_url: str) -> None:
    async def play() -> None:
        desk, heard = Desk("tickets", database_url), list[int]()
        assert await desk.look() == Wanted(0, None)
        listening = asyncio.create_task(desk.listen(lambda: heard.append(1)))
        await _until(lambda: len(heard) == 1)  # it listens: what was said before nobody heard
        with connect(database_url) as connection:
            connection.execute("select pg_notify('tao_champion', 'shop')")
        await asyncio.to_thread(_move, database_url, 2)
        await _until(lambda: len(heard) == 2)
        assert await desk.look() == Wanted(2, None)
        # The server's connections are cut, and made again.
        with connect(database_url) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        await _until(lambda: len(heard) == 3)
        with pytest.raises(RegistryError, match="the database does not answer"):
            await desk.look()
        assert await desk.look() == Wanted(2, None)
        await desk.beat(ONE)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await desk.close()

    asyncio.run(play())


def test_a_database_that_is_not_there_is_an_error_that_says_so(tmp_path: Path) -> None:
    async def play() -> None:
        desk = Desk("tickets", f"postgresql://postgres@/tao?host={tmp_path}")
        with pytest.raises(RegistryError, match="no connection to PostgreSQL"):
            await desk.look()
        await desk.close()

    asyncio.run(play())


async def _until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


def test_what_was_served_last_is_read_again_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = state.server_folder(tmp_path, "a")
    assert state.kept(folder) is None
    state.keep(folder, Served(3, "abc", "/three"))
    assert state.kept(folder) == Served(3, "abc", "/three")
    for text in ("", "[]", '{"version": 3}', '{"version": "x", "model_version": "a", "path": "b"}'):
        (folder / "served.json").write_text(text, encoding="utf-8")
        assert state.kept(folder) is None


def test_the_look_up_of_a_version_says_what_is_wrong_in_one_line(
    database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAO_DATABASE_URL", database_url)
    locate.main("no_such_flywheel", "0")
    told = json.loads(capsys.readouterr().out)
    assert "there is no flywheel 'no_such_flywheel'" in told["error"] and not told["retryable"]


def test_the_examples_of_the_docs() -> None:
    assert doctest.testmod(servers).failed == 0
