"""Shadows: the candidate is asked what the champion was, after the answer; few at once, and nobody sees them."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tao_ops.config import load_flywheel
from tao_ops.config.serve import CanaryConfig
from tao_ops.serve.canary.record import Canary, State
from tao_ops.serve.canary.shadow import UNDER_WAY, Shadow
from tao_ops.serve.exchange import Arm, Exchange
from tao_ops.serve.lanes import Lanes
from tao_ops.serve.prompting import Prompting
from tao_ops.settings import PROJECT, Settings
from tests.tao_ops.serve.light_engine import LightEngine, Running, lane_of

AT = datetime(2026, 11, 21, tzinfo=UTC)
ASKED = {"model": "tickets", "messages": [{"role": "user", "content": "a blue lamp"}], "stream": True}


def canary(shadow: float) -> Canary:
    made: dict[str, Any] = {"limits": CanaryConfig(), "turn": None, "run_id": None, "share": 0.0, "shadow": shadow}
    ends: dict[str, Any] = {"who": None, "why": None, "ended_at": None, "elapsed": timedelta(0)}
    return Canary(id=1, flywheel="tickets", version=4, champion=3, since=AT, state=State.RUNNING, **made, **ends)


def exchange(number: int, **told: Any) -> Exchange:
    base: dict[str, Any] = {
        "request_id": f"req-{number}",
        "received_at": AT,
        "route": "/v1/chat/completions",
        "status": 200,
        "request": {**ASKED, "stream_options": {"include_usage": True}, "user": "anna"},
        "response": {"choices": []},
        "whole": True,
        "user": "anna",
        "task": "tickets",
        "arm": Arm.CHAMPION,
        "version": 3,
        "model_version": "m3",
        "seconds": 0.5,
        "first_seconds": 0.1,
        "prompt_tokens": 9,
        "tokens": 12,
    }
    return Exchange(**{**base, **told})


class Asked:
    """A candidate, and what is counted of it."""

    def __init__(self, engine: LightEngine, running: Running, shadow: float) -> None:
        self.engine, self.counted = engine, list[Exchange]()
        lane = lane_of(running, engine, Arm.CANDIDATE, 4)
        self.lanes = Lanes(candidate=lane, canary=canary(shadow))

    def see(self, exchanges: list[Exchange], *, until: int | None = None) -> Shadow:
        """Observe exchanges in a thread, and wait for that many shadows to be counted."""

        async def act() -> Shadow:
            prompting = Prompting(load_flywheel("tickets", Settings.from_env()))
            shadow = Shadow(self.lanes, prompting, self.counted.append, seconds=5.0)
            thread = threading.Thread(target=lambda: [shadow(one) for one in exchanges])
            thread.start()
            await asyncio.to_thread(thread.join)
            async with asyncio.timeout(10):
                while len(self.counted) + shadow.dropped < (len(exchanges) if until is None else until):
                    await asyncio.sleep(0.01)
            await shadow.close()
            return shadow

        return asyncio.run(act())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("TAO_INCLUDE", str(PROJECT / "include"))
    monkeypatch.setenv("TAO_HOME", str(tmp_path))
    engine = LightEngine("m4")
    with Running(engine) as running:
        made: Callable[[float], Asked] = lambda shadow: Asked(engine, running, shadow)  # noqa: E731
        yield made


def test_the_candidate_gets_the_same_request_with_the_prompt_and_is_counted(asked: Any) -> None:
    made = asked(1.0)
    made.see([exchange(1)])
    (body,) = made.engine.seen
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["stream"] is False and "stream_options" not in body and "user" not in body
    assert made.engine.headers[0]["x-request-id"] == "shadow-req-1"
    (found,) = made.counted
    assert (found.arm, found.version, found.model_version, found.status, found.whole) == (
        Arm.SHADOW,
        4,
        "m4",
        200,
        True,
    )
    assert found.answered and found.tokens == 3 and found.seconds > 0 and found.first_seconds is None
    assert found.request["messages"] == ASKED["messages"]


def test_a_share_is_copied_the_same_each_time_and_nothing_of_the_candidates(asked: Any) -> None:
    made = asked(0.3)
    many = [exchange(number) for number in range(100)]
    drawn = made.see(many, until=20)
    assert 20 <= drawn.asked + drawn.dropped <= 42
    before = drawn.asked + drawn.dropped
    again = made.see([*many, exchange(1, arm=Arm.CANDIDATE), exchange(2, whole=False)], until=20)
    assert again.asked + again.dropped == before
    assert asked(0.0).see(many, until=0).asked == 0


def test_what_comes_while_many_are_under_way_is_dropped_and_counted(asked: Any) -> None:
    made = asked(1.0)
    made.engine.pause_s = 0.5
    seen = made.see([exchange(number) for number in range(50)])
    assert seen.dropped >= 50 - 2 * UNDER_WAY and seen.asked + seen.dropped == 50
    assert len(made.counted) == seen.asked


def test_a_candidate_that_breaks_is_an_error_and_one_that_is_gone_none(asked: Any) -> None:
    made = asked(1.0)
    made.engine.breaks = ["500", "cut"]
    made.see([exchange(1)])
    made.see([exchange(2)], until=2)
    assert [(one.status, one.answered) for one in made.counted] == [(500, False), (503, False)]
    made.lanes.candidate.lose()
    assert made.see([exchange(3)], until=3).dropped == 1
