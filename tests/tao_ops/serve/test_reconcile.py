"""What a server does when the record moves, its engine dies, a version is bad or the database is gone."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tao_ops.config.serve import CanaryConfig
from tao_ops.errors import EngineError, ModelError, RegistryError
from tao_ops.serve import refused, state
from tao_ops.serve.canary.record import Canary, State
from tao_ops.serve.desk import Wanted
from tao_ops.serve.engines import EngineBroken, WeightsRefused
from tao_ops.serve.exchange import Arm
from tao_ops.serve.lanes import Lanes, Served
from tao_ops.serve.reconcile import Identity, Reconciler
from tao_ops.serve.servers import ServerState, Standing
from tao_ops.serve.stations import other_shape
from tests.tao_ops.serve.engine_child import served, write_model


class FakeEngine:
    """An engine in this process; what it cannot do is said by ``World``."""

    def __init__(self, world: "World", model: Served, label: str) -> None:
        self.world, self.served, self.label = world, model, label
        self.url = self.key = ""
        self.starts, self.closed = 0, False
        self._dead = asyncio.Event()

    async def start(self, served: Served | None = None) -> None:
        self.served = served or self.served
        await asyncio.sleep(self.world.start_s)
        if self.served.version in self.world.cannot_start:
            raise EngineError(f"no engine for version {self.served.version}")
        if self.served.version in self.world.bewilders:
            raise AttributeError("'list' object has no attribute 'items'")
        self.starts += 1
        self.url, self.key = f"http://127.0.0.1:{self.label}/{self.starts}", f"key {self.starts}"
        self._dead.clear()

    async def reload(self, served: Served) -> None:
        self.world.reloads.append(served.version)
        await asyncio.sleep(0.005)
        if served.version in self.world.refused:
            raise WeightsRefused(f"version {served.version} has no such tensor")
        if served.version in self.world.breaks:
            raise EngineBroken("the engine broke")
        self.served = served

    async def ended(self) -> int:
        await self._dead.wait()
        return -9

    def die(self) -> None:
        self._dead.set()

    async def stop(self, grace_s: float = 10.0) -> None:
        self._dead.set()

    async def close(self) -> None:
        self.closed = True


@dataclass
class World:
    """A database, models and engines, all of this process; and one server among them."""

    folder: Path
    champion: int = 1
    canary: Canary | None = None
    lost: bool = False
    start_s: float = 0.0
    cannot_start: set[int] = field(default_factory=set)
    bewilders: set[int] = field(default_factory=set)
    refused: set[int] = field(default_factory=set)
    breaks: set[int] = field(default_factory=set)
    missing: set[int] = field(default_factory=set)
    reloads: list[int] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    beats: list[Standing] = field(default_factory=list)
    engines: list[FakeEngine] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.models = {
            version: served(write_model(self.folder / f"v{version}", f"answer {version}", shape=shape), version)
            for version, shape in {0: 3, 1: 3, 2: 3, 3: 3, 4: 5}.items()
        }
        self.lanes = Lanes()
        self.server = self.make("server-1", self.lanes)

    def make(self, name: str, lanes: Lanes) -> Reconciler:
        identity = Identity(name, "tickets", "http://127.0.0.1:1", self.folder / name)
        return Reconciler(identity, lanes, self, self._engine, drain_s=0.05, say=self.said.append, poll_s=0.01)

    def _engine(self, model: Served, label: str) -> FakeEngine:
        self.engines.append(FakeEngine(self, model, label))
        return self.engines[-1]

    async def look(self) -> Wanted:
        await asyncio.sleep(0)
        if self.lost:
            raise RegistryError("the database does not answer")
        return Wanted(self.champion, self.canary)

    async def locate(self, version: int) -> Served:
        self.asked.append(version)
        if version in self.missing:
            raise ModelError("not a model folder: it does not exist", where=f"/v{version}")
        return self.models[version]

    async def beat(self, standing: Standing) -> None:
        if self.lost:
            raise RegistryError("the database does not answer")
        self.beats.append(standing)

    async def listen(self, call: Callable[[], None]) -> None:
        await asyncio.sleep(3600)

    async def close(self) -> None: ...

    def start_canary(self, version: int, number: int = 1, share: float = 0.2) -> None:
        config, now = CanaryConfig(share=share), datetime.now(UTC)
        told: dict[str, Any] = {
            "turn": None,
            "run_id": None,
            "who": "run",
            "share": share,
            "shadow": 0.0,
            "limits": config,
        }
        told |= {"since": now, "state": State.RUNNING, "why": None, "ended_at": None, "elapsed": timedelta()}
        self.canary = Canary(id=number, flywheel="tickets", version=version, champion=self.champion, **told)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refused, "AGAIN_S", (0.2, 0.4))


def _play(folder: Path, play: Callable[[World], Awaitable[None]], **changed: Any) -> World:
    made: list[World] = []

    async def whole() -> None:
        made.append(World(folder, **changed))
        try:
            async with asyncio.timeout(20):
                await play(made[0])
        finally:
            await made[0].server.close()

    asyncio.run(whole())
    return made[0]


async def _until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.002)


async def _until_candidate(world: World) -> None:
    async with asyncio.timeout(5):
        while world.lanes.candidate is None:
            await world.server.step()
            await asyncio.sleep(0.002)


def _version(world: World) -> int | None:
    return None if world.lanes.champion is None else world.lanes.champion.served.version


def test_a_move_of_the_champion_and_a_rollback_change_the_weights_in_place(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        server = world.server
        assert server.standing().state is ServerState.STARTING and server.waiting_for
        await server.step()
        lane = world.lanes.champion
        assert _version(world) == 1 and server.standing().state is ServerState.SERVING and server.waiting_for is None
        for version in (2, 3, 2, 0):
            world.champion = version
            await server.step()
            assert _version(world) == version and world.lanes.champion is lane
            assert state.kept(tmp_path / "server-1") == world.models[version]
        await server.step()
        assert world.reloads == [2, 3, 2, 0] and len(world.engines) == 1 and server.swaps == 4
        told = server.status()
        assert (told["version"], told["wanted"], told["state"], told["error"]) == (0, 0, "serving", None)

    world = _play(tmp_path, play)
    assert world.engines[0].closed and world.beats[-1].state is ServerState.STOPPED


def test_a_model_of_another_shape_gets_an_engine_of_its_own_which_takes_over(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        await world.server.step()
        old, first = world.lanes.champion, world.engines[0]
        assert old is not None
        async with old.request(1) as answering:
            world.champion = 4
            await world.server.step()
            assert _version(world) == 4 and len(world.engines) == 2 and world.reloads == []
            await asyncio.sleep(0.02)
            assert answering.version == 1 and not first.closed  # who began with the old one ends with it
        await _until(lambda: first.closed)
        world.champion = 1
        await world.server.step()
        assert _version(world) == 1 and len(world.engines) == 3

    world = _play(tmp_path, play)
    assert any("needs an engine of its own" in line for line in world.said)


def test_of_moves_during_a_change_the_newest_is_taken(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        await world.server.step()
        lane = world.lanes.champion
        assert lane is not None
        async with lane.request(1):
            world.champion = 2
            step = asyncio.create_task(world.server.step())
            await asyncio.sleep(0.02)  # it waits for the request
            world.champion = 3
        await step
        assert world.reloads == [] and _version(world) == 1
        await world.server.step()
        assert world.reloads == [3] and _version(world) == 3

    _play(tmp_path, play)


def test_a_start_that_takes_long_is_broken_off_where_the_record_moves_on(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        await world.server.step()
        world.start_s, world.champion = 60, 4
        step = asyncio.create_task(world.server.step())
        await _until(lambda: len(world.engines) == 2)
        world.champion = 2
        await step
        assert world.engines[1].closed and _version(world) == 1
        await world.server.step()
        assert _version(world) == 2

    _play(tmp_path, play)


def test_a_change_that_requests_do_not_let_through_is_put_off_and_tried_again(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        await world.server.step()
        lane = world.lanes.champion
        assert lane is not None
        async with lane.request(1):
            world.champion = 2
            await world.server.step()
            assert _version(world) == 1 and world.server.put_off == 1
            assert world.server.standing().state is ServerState.CHANGING
            assert "1 requests were under way" in str(world.server.standing().error)
            async with lane.request(0.01):  # the gate is open again, and stays so for as long as it was closed
                await world.server.step()
            assert world.server.put_off == 1
        await asyncio.sleep(0.06)
        await world.server.step()
        assert _version(world) == 2 and world.server.standing().error is None

    _play(tmp_path, play)


@pytest.mark.parametrize("how", ["missing", "refused", "cannot_start"])
def test_a_version_that_cannot_be_taken_leaves_the_old_one_and_says_why(tmp_path: Path, how: str) -> None:
    bad = 4 if how == "cannot_start" else 2

    async def play(world: World) -> None:
        await world.server.step()
        getattr(world, how).add(bad)
        world.champion = bad
        for _ in range(5):
            await world.server.step()
        standing = world.server.standing()
        assert (standing.state, standing.version, standing.wanted) == (ServerState.KEEPS, 1, bad)
        assert f"version {bad} cannot be served: " in str(standing.error)
        assert world.asked.count(bad) == 1  # not again and again
        assert all(engine.closed for engine in world.engines[1:]) and not world.engines[0].closed
        lane = world.lanes.champion
        assert lane is not None
        async with lane.request(0.1) as answers:
            assert answers.version == 1
        getattr(world, how).clear()
        await asyncio.sleep(0.25)
        await world.server.step()
        assert _version(world) == bad and world.server.standing().error is None

    _play(tmp_path, play)


def test_who_asks_for_it_has_a_bad_version_tried_at_once(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        running = asyncio.create_task(world.server.run())
        await _until(lambda: _version(world) == 1)
        world.missing.add(2)
        world.champion = 2
        await _until(lambda: world.server.standing().state is ServerState.KEEPS)
        world.missing.clear()
        told = await world.server.reconcile()
        assert told["version"] == 2 and told["state"] == "serving"
        await _until(lambda: world.beats[-1].version == 2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert world.engines[0].closed

    _play(tmp_path, play)


def test_an_engine_that_dies_is_started_again_with_the_version_that_it_had(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        await world.server.step()
        world.champion = 2
        await world.server.step()
        lane, engine = world.lanes.champion, world.engines[0]
        assert lane is not None
        before = lane.url
        engine.die()
        async with lane.request(5) as answers:
            pass
        await _until(lambda: lane.url != before)
        async with lane.request(5) as answers:
            assert answers.version == 2 and lane.key == "key 2"
        world.start_s = 60
        engine.die()
        await _until(lambda: not lane.up)
        assert world.server.standing().state is ServerState.DOWN and world.server.waiting_for
        assert "ended with -9" in str(world.server.standing().error)

    _play(tmp_path, play)


def test_an_engine_that_breaks_while_it_is_changed_comes_back_with_the_old_version(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        await world.server.step()
        world.breaks.add(2)
        world.champion = 2
        await world.server.step()
        lane = world.lanes.champion
        assert lane is not None
        await _until(lambda: world.engines[0].starts == 2 and lane.up)
        assert _version(world) == 1 and "the engine broke" in str(world.server.standing().error)

    _play(tmp_path, play)


def test_where_the_old_weights_are_gone_too_an_engine_comes_back_with_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tao_ops.serve.stations._BACKOFF_S", (0.01,))

    async def play(world: World) -> None:
        await world.server.step()
        world.breaks.add(2)
        world.cannot_start.add(1)
        world.champion = 2
        await world.server.step()
        await _until(lambda: _version(world) == 2)

    _play(tmp_path, play)


def test_without_the_database_a_server_goes_on_and_says_so(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        await world.server.step()
        world.lost = True
        for _ in range(3):
            await world.server.step()
        assert _version(world) == 1 and "cannot be read" in str(world.server.standing().error)
        assert sum("cannot be read" in line for line in world.said) == 1
        world.lost, world.champion = False, 2
        await world.server.step()
        assert _version(world) == 2 and world.server.standing().error is None

    _play(tmp_path, play)


def test_started_without_the_database_a_server_serves_what_it_served_last(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        state.keep(tmp_path / "server-1", world.models[3])
        await world.server.step()
        assert _version(world) == 3 and any("as it was last" in line for line in world.said)
        world.lost = False
        await world.server.step()
        assert _version(world) == 1

    _play(tmp_path, play, lost=True)


def test_started_with_a_champion_that_is_gone_a_server_serves_what_it_served_last(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        state.keep(tmp_path / "server-1", world.models[3])
        await world.server.step()
        assert _version(world) == 3 and world.server.standing().state is ServerState.KEEPS

    _play(tmp_path, play, missing={1})


def test_two_servers_on_one_record_each_follow_it(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        lanes = Lanes()
        other = world.make("server-2", lanes)
        tasks = [asyncio.create_task(one.run()) for one in (world.server, other)]
        for version in (1, 2, 3, 1):
            world.champion = version
            await _until(
                lambda v=version: _version(world) == v and lanes.champion and lanes.champion.served.version == v
            )
        await _until(lambda: {one.server for one in world.beats[-4:]} == {"server-1", "server-2"})
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    _play(tmp_path, play)


def test_a_canary_gets_an_engine_and_its_share_and_both_end_with_it(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        await world.server.step()
        world.start_canary(2)
        await world.server.step()
        await _until(lambda: len(world.engines) == 2)
        await asyncio.sleep(0.01)
        await world.server.step()
        lanes = world.lanes
        assert lanes.candidate is not None and lanes.candidate.served.version == 2
        assert (lanes.candidate.arm, lanes.share, lanes.salt) == (Arm.CANDIDATE, 0.2, "canary 1")
        assert lanes.canary is world.canary and world.server.standing().candidate == 2
        world.canary = None
        await world.server.step()
        assert lanes.candidate is None and lanes.share == 0 and lanes.canary is None and _version(world) == 1
        await _until(lambda: world.engines[1].closed)

    _play(tmp_path, play)


def test_a_canary_that_has_grown_takes_over_with_the_engine_that_it_has(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        await world.server.step()
        world.start_canary(2)
        await world.server.step()
        await asyncio.sleep(0.01)
        await world.server.step()
        candidate = world.lanes.candidate
        world.champion, world.canary = 2, None
        await world.server.step()
        assert candidate is not None and world.lanes.champion is candidate and candidate.arm is Arm.CHAMPION
        assert world.lanes.candidate is None and world.reloads == [] and len(world.engines) == 2
        await _until(lambda: world.engines[0].closed)
        assert not world.engines[1].closed

    _play(tmp_path, play)


def test_while_a_canary_starts_the_champion_may_move_and_a_newer_canary_takes_its_place(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        await world.server.step()
        world.start_s = 60
        world.start_canary(2)
        await world.server.step()
        await _until(lambda: len(world.engines) == 2)
        world.champion = 3
        await world.server.step()
        assert _version(world) == 3
        world.start_s = 0
        world.start_canary(0, number=2)
        await world.server.step()
        await asyncio.sleep(0.02)
        await world.server.step()
        assert world.engines[1].closed
        assert world.lanes.candidate is not None and world.lanes.candidate.served.version == 0
        assert world.lanes.salt == "canary 2"

    _play(tmp_path, play)


def test_a_canary_that_cannot_start_disturbs_nobody_and_is_told(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        await world.server.step()
        world.cannot_start.add(2)
        world.start_canary(2)
        for _ in range(4):
            await world.server.step()
            await asyncio.sleep(0.005)
        assert world.lanes.candidate is None and len(world.engines) == 2 and world.engines[1].closed
        standing = world.server.standing()
        assert standing.state is ServerState.SERVING and "version 2 cannot be served" in str(standing.error)

    _play(tmp_path, play)


def test_an_engine_that_is_warm_when_the_record_moves_on_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(world: World) -> None:
        await world.server.step()
        world.champion, world.start_s, plain = 4, 0.03, world.look

        async def look() -> Wanted:
            if len(world.engines) == 2 and world.champion == 4:
                await _until(lambda: world.engines[1].starts)  # while the database is asked
                await asyncio.sleep(0.01)
                world.champion = 1
            return await plain()

        monkeypatch.setattr(world, "look", look)
        await world.server.step()
        assert _version(world) == 1 and not world.engines[0].closed
        assert world.engines[1].starts == 1 and world.engines[1].closed

    _play(tmp_path, play)


def test_at_its_end_a_server_stops_engines_that_were_ending_what_they_had(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        await world.server.step()
        old = world.lanes.champion
        assert old is not None
        async with old.request(1):
            world.champion = 4
            await world.server.step()
            await world.server.close()
            assert [engine.closed for engine in world.engines] == [True, True]

    _play(tmp_path, play)


def test_a_canary_that_ends_while_an_engine_starts_ends_at_once(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        await world.server.step()
        world.start_canary(2)
        await _until_candidate(world)
        world.champion, world.start_s = 4, 0.3
        step = asyncio.create_task(world.server.step())
        await _until(lambda: len(world.engines) == 3)
        assert world.lanes.candidate is not None  # the record still has it
        world.canary = None
        await _until(lambda: world.lanes.candidate is None)
        await _until(lambda: world.engines[1].closed)
        assert not step.done() and _version(world) == 1
        await step
        assert _version(world) == 4

        world.start_s = 0.0
        world.start_canary(2, number=2)
        await _until_candidate(world)
        world.champion, world.canary, world.start_s = 1, None, 0.3  # together, as a rollback does
        step = asyncio.create_task(world.server.step())
        await _until(lambda: world.lanes.candidate is None)
        assert not step.done() and _version(world) == 4
        await step

    _play(tmp_path, play)


def test_a_version_over_which_the_server_stumbles_never_brings_it_down(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        await world.server.step()
        world.bewilders, world.champion = {2, 4}, 4
        await world.server.step()
        told = world.server.standing()
        assert _version(world) == 1 and told.state is ServerState.KEEPS and "AttributeError" in (told.error or "")
        world.champion = 1
        world.start_canary(2)
        for _ in range(2):
            await world.server.step()
            await asyncio.sleep(0.01)
        assert "AttributeError" in (world.server.standing().error or "")
        world.bewilders = set()
        await asyncio.sleep(0.25)
        await _until_candidate(world)
        assert world.server.standing().error is None

    _play(tmp_path, play)


def test_what_everybody_may_read_has_nothing_of_an_error(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        world.lost = True
        await world.server.step()
        assert world.server.waiting_for == "the champion record, which cannot be read"
        world.lost, world.missing = False, {1}
        await world.server.step()
        assert world.server.waiting_for == "a version that can be served"
        assert "/v1" in str(world.server.standing().error)

    _play(tmp_path, play)


def test_a_second_loss_of_the_database_is_said_too(tmp_path: Path) -> None:
    async def play(world: World) -> None:
        for world.lost in (False, True, True, False, True):
            await world.server.step()
        assert sum("cannot be read" in line for line in world.said) == 2

    _play(tmp_path, play)


def test_what_an_engine_reads_once_makes_another_shape(tmp_path: Path) -> None:
    one = write_model(tmp_path / "one", "one")
    assert other_shape(str(one), str(write_model(tmp_path / "two", "two"))) is None
    assert "shapes" in str(other_shape(str(one), str(write_model(tmp_path / "three", "three", shape=4))))
    for name, text in {
        "config.json": '{"architectures": ["Tiny"], "rope_theta": 2}',
        "tokenizer.json": '{"a": 1}',
        "chat_template.jinja": "{{ other }}",
        "generation_config.json": '{"temperature": 0.2}',
    }.items():
        other = write_model(tmp_path / name.partition(".")[0], "other")
        (other / name).write_text(text, encoding="utf-8")
        assert other_shape(str(one), str(other)) == name
    other = write_model(tmp_path / "same", "same")
    (other / "config.json").write_text('{"transformers_version": "5", "architectures": ["Tiny"]}', encoding="utf-8")
    assert other_shape(str(one), str(other)) is None
