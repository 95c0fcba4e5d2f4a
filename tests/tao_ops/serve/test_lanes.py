"""The gate before an engine: one model for a whole answer, whoever goes away when."""

import asyncio
import doctest
import random

import pytest

from tao_ops.errors import EngineError
from tao_ops.serve import lanes
from tao_ops.serve.exchange import Arm
from tao_ops.serve.lanes import Lane, Lanes, Served

ONE, TWO = Served(1, "aaa", "/one"), Served(2, "bbb", "/two")


def _lane(served: Served = ONE) -> Lane:
    return Lane(Arm.CHAMPION, "http://127.0.0.1:1", "key", served)


def test_a_drain_waits_for_what_is_under_way_and_holds_back_what_is_new() -> None:
    async def play() -> None:
        lane, seen = _lane(), list[str]()

        async def ask(name: str, seconds: float) -> None:
            async with lane.request(5) as served:
                await asyncio.sleep(seconds)
                seen.append(f"{name} {served.version}")

        first = asyncio.create_task(ask("first", 0.05))
        await asyncio.sleep(0.01)
        async with lane.drained(5) as empty:
            assert empty and seen == ["first 1"]
            second = asyncio.create_task(ask("second", 0))
            await asyncio.sleep(0.02)
            assert seen == ["first 1"]
            lane.served = TWO
        await asyncio.gather(first, second)
        assert seen == ["first 1", "second 2"] and lane.under_way == 0

    asyncio.run(play())


def test_a_drain_that_takes_too_long_says_so_and_the_gate_opens_again() -> None:
    async def play() -> None:
        lane = _lane()
        async with lane.request(1):
            async with lane.drained(0.02) as empty:
                assert not empty
            async with lane.request(0.1) as served:
                assert served == ONE

    asyncio.run(play())


def test_who_waits_too_long_is_told_why() -> None:
    async def play() -> None:
        lane = _lane()
        async with lane.drained(1):
            with pytest.raises(EngineError, match="the model is being changed, for longer than 0 s"):
                async with lane.request(0.01):
                    pass
        lane.lose()
        with pytest.raises(EngineError, match="the engine is being started again"):
            async with lane.request(0.01):
                pass
        assert lane.under_way == 0

    asyncio.run(play())


def test_an_engine_that_died_during_a_drain_keeps_the_gate_closed_until_it_is_back() -> None:
    async def play() -> None:
        lane = _lane()
        async with lane.drained(1):
            lane.lose()
        with pytest.raises(EngineError):
            async with lane.request(0.01):
                pass
        lane.regain("http://127.0.0.1:2", "other", ONE)
        async with lane.request(0.01) as served:
            assert served == ONE and lane.url.endswith(":2") and lane.key == "other"

    asyncio.run(play())


def test_two_drains_at_once_open_the_gate_with_the_last() -> None:
    async def play() -> None:
        lane = _lane()
        async with lane.drained(1):
            async with lane.drained(1) as empty:
                assert empty
            with pytest.raises(EngineError):
                async with lane.request(0.01):
                    pass
        async with lane.request(0.01):
            pass

    asyncio.run(play())


def test_a_drain_that_is_cancelled_opens_the_gate() -> None:
    async def play() -> None:
        lane = _lane()

        async def drain() -> None:
            async with lane.drained(60):
                pass

        async with lane.request(1):
            task = asyncio.create_task(drain())
            await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        async with lane.request(0.01):
            pass

    asyncio.run(play())


def test_cancelled_requests_are_counted_neither_twice_nor_for_ever_and_no_answer_is_mixed() -> None:
    async def play() -> None:
        rng, lane, mixed = random.Random(7), _lane(), list[str]()
        done = 0

        async def ask() -> None:
            nonlocal done
            async with lane.request(5) as served:
                for _ in range(rng.randint(1, 6)):
                    await asyncio.sleep(0)
                    if lane.served is not served:
                        mixed.append("mixed")
            done += 1

        async def swap() -> None:
            for i in range(200):
                async with lane.drained(5) as empty:
                    assert empty and lane.under_way == 0
                    await asyncio.sleep(0)
                    lane.served = Served(i, str(i), "/")
                await asyncio.sleep(0)

        swapping, tasks = asyncio.create_task(swap()), list[asyncio.Task[None]]()
        while not swapping.done():
            tasks.append(asyncio.create_task(ask()))
            if rng.random() < 0.5:
                rng.choice(tasks).cancel()  # at any moment: at the gate, inside, on the way out
            await asyncio.sleep(0)
        await swapping
        await asyncio.gather(*tasks, return_exceptions=True)
        assert not mixed and lane.under_way == 0 and done > 50

    asyncio.run(play())


def test_a_user_is_always_answered_by_the_same_lane_and_about_the_share_by_the_candidate() -> None:
    async def play() -> None:
        both = Lanes(_lane(), Lane(Arm.CANDIDATE, "http://127.0.0.1:2", "key", TWO), share=0.1, salt="canary 1")
        users = [f"user {n}" for n in range(5000)]
        chosen = {user: both.of(user) for user in users}
        assert all(both.of(user) is lane for user, lane in chosen.items())
        assert 400 < sum(lane is both.candidate for lane in chosen.values()) < 600
        both.share = 0.0
        assert all(both.of(user) is both.champion for user in users[:100])
        assert Lanes().of("anna") is None

    asyncio.run(play())


def test_the_examples_of_the_docs() -> None:
    assert doctest.testmod(lanes).failed == 0
