"""Changes of the champion under load, on engines of processes of their own: no answer failed, lost or mixed."""

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tao_ops.config import EngineConfig
from tao_ops.serve.desk import Wanted
from tao_ops.serve.engines import MODEL_HEADER, Engine, Spec
from tao_ops.serve.lanes import Lanes, Served
from tao_ops.serve.reconcile import Identity, Reconciler
from tao_ops.serve.servers import Standing
from tao_ops.settings import PROJECT
from tests.tao_ops.serve import engine_child
from tests.tao_ops.serve.engine_child import served, write_model

ANSWERS = {1: "one " * 6, 2: "the second " * 3, 3: "x"}
BODY = {"model": "tickets", "messages": [{"role": "user", "content": "?"}]}


class Desk:
    """A record in this process."""

    def __init__(self, models: dict[int, Served]) -> None:
        self.models, self.champion = models, 1

    async def look(self) -> Wanted:
        return Wanted(self.champion)

    async def locate(self, version: int) -> Served:
        return self.models[version]

    async def beat(self, standing: Standing) -> None: ...

    async def listen(self, call: Callable[[], None]) -> None:
        await asyncio.sleep(3600)

    async def close(self) -> None: ...


async def _ask(lanes: Lanes, client: httpx.AsyncClient, stream: bool) -> tuple[Served, str]:
    """As the front does: through the gate for the whole answer, and again where the engine broke."""
    lane = lanes.champion
    assert lane is not None
    for _ in range(20):
        async with lane.request(20) as model:
            headers = {"authorization": f"Bearer {lane.key}"}
            try:
                answer = await client.post(
                    f"{lane.url}/v1/chat/completions", json={**BODY, "stream": stream}, headers=headers
                )
            except httpx.HTTPError:
                await asyncio.sleep(0.2)
                continue
            assert answer.status_code == 200 and answer.headers[MODEL_HEADER] == model.model_version
            return model, _streamed(answer.text) if stream else answer.json()["choices"][0]["message"]["content"]
    raise AssertionError("no answer")


def _streamed(text: str) -> str:
    events: list[dict[str, Any]] = [json.loads(e[6:]) for e in text.split("\n\n") if e and not e.endswith("[DONE]")]
    return "".join(event["choices"][0]["delta"]["content"] for event in events)


@pytest.mark.parametrize("kills", [0, 2])
def test_every_answer_is_wholly_from_the_version_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    models = {v: served(write_model(tmp_path / f"v{v}", text), v) for v, text in ANSWERS.items()}
    spec = Spec("tickets", tmp_path / "logs", EngineConfig(), command=(sys.executable, engine_child.__file__))
    rng, lanes, desk, engines = random.Random(3), Lanes(), Desk(models), list[Engine]()

    def make(model: Served, label: str) -> Engine:
        engines.append(Engine(spec, model, label=label, say=lambda line: None))
        return engines[-1]

    async def play() -> None:
        identity = Identity("a", "tickets", "http://a", tmp_path / "a")
        reconciler = Reconciler(identity, lanes, desk, make, drain_s=10, say=lambda line: None, poll_s=0.01)
        running = asyncio.create_task(reconciler.run())
        answers, over = list[tuple[Served, str]](), False

        async def client() -> None:
            async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
                while not over:
                    answers.append(await _ask(lanes, http, rng.random() < 0.5))

        try:
            await _until(lambda: lanes.champion is not None)
            clients = [asyncio.create_task(client()) for _ in range(6)]
            for i in range(10):
                desk.champion = 1 + (desk.champion + rng.randrange(2)) % 3
                if i < kills and engines[0].pid is not None:
                    os.kill(engines[0].pid, signal.SIGKILL)
                await _until(lambda: lanes.champion and lanes.champion.served.version == desk.champion)
                seen = len(answers)
                await _until(lambda s=seen: len(answers) > s + 6)
            over = True
            await asyncio.gather(*clients)
            state = await engines[0].state()
            assert state["mixed"] == 0 and len(engines) == 1 and reconciler.swaps >= 10 - kills
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert {model.version for model, _ in answers} == set(ANSWERS)
        assert [text for model, text in answers if text != ANSWERS[model.version]] == []
        assert lanes.champion is None and engines[0].pid is None

    asyncio.run(play())


async def _until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.005)
