"""An engine's process, with a light server in the place of vLLM's."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tao_ops.config import EngineConfig
from tao_ops.errors import EngineError
from tao_ops.serve.engines import MODEL_HEADER, Engine, EngineBroken, Spec, WeightsRefused
from tao_ops.settings import PROJECT
from tests.tao_ops.serve import engine_child
from tests.tao_ops.serve.engine_child import served, write_model

COMMAND = (sys.executable, engine_child.__file__)
BODY = {"model": "tickets", "messages": [{"role": "user", "content": "secret question"}]}


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setenv("TAO_SERVE_KEYS", "shop=a-key-of-twenty-characters")


def _spec(folder: Path, **changed: Any) -> Spec:
    return Spec(
        **{"name": "tickets", "folder": folder / "logs", "config": EngineConfig(), "command": COMMAND} | changed
    )


def _play(folder: Path, play: Callable[[Engine, list[str]], Awaitable[None]], **changed: Any) -> None:
    """With an engine that answers "one"."""
    said: list[str] = []

    async def whole() -> None:
        engine = Engine(
            _spec(folder, **changed), served(write_model(folder / "one", "one"), 1), label="engine-1", say=said.append
        )
        try:
            await engine.start()
            await play(engine, said)
        finally:
            await engine.close()

    asyncio.run(whole())


async def _ask(engine: Engine, key: str | None = None) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        headers = {"Authorization": f"Bearer {key or engine.key}"}
        return await client.post(f"{engine.url}/v1/chat/completions", json=BODY, headers=headers)


def _text(answer: httpx.Response) -> str:
    return str(answer.json()["choices"][0]["message"]["content"])


def test_an_engine_answers_whoever_has_its_key_and_says_what_memory_it_takes(tmp_path: Path) -> None:
    async def play(engine: Engine, said: list[str]) -> None:
        answer = await _ask(engine)
        assert _text(answer) == "one" and answer.headers[MODEL_HEADER] == "digest-one"
        assert (await _ask(engine, "another")).status_code == 401
        assert "GiB of weights" in said[0] and "version 1" in said[-1]
        assert engine.pid is not None
        assert psutil.Process(engine.pid).cmdline()[1:] == [engine_child.__file__]  # neither key nor path
        assert "a-key-of-twenty" not in str(psutil.Process(engine.pid).environ())
        first = engine.key
        await engine.start()
        assert engine.key != first and _text(await _ask(engine)) == "one"

    _play(tmp_path, play)
    assert "secret question" not in (tmp_path / "logs" / "engine-1.log").read_text(encoding="utf-8")


def test_an_engine_takes_other_weights_and_keeps_its_own_where_they_are_bad(tmp_path: Path) -> None:
    two, bad = served(write_model(tmp_path / "two", "two"), 2), served(write_model(tmp_path / "bad", "broken"), 3)

    async def play(engine: Engine, said: list[str]) -> None:
        await engine.reload(two)
        assert engine.served == two and _text(await _ask(engine)) == "two"
        with pytest.raises(WeightsRefused, match="these weights cannot be loaded"):
            await engine.reload(bad)
        answer = await _ask(engine)
        assert engine.served == two and _text(answer) == "two" and answer.headers[MODEL_HEADER] == "digest-two"
        (tmp_path / "two" / "answer.txt").write_text("broken", encoding="utf-8")
        with pytest.raises(EngineBroken, match="nor the old ones"):
            await engine.reload(bad)

    _play(tmp_path, play)


def test_an_engine_that_dies_is_noticed_and_can_be_started_again(tmp_path: Path) -> None:
    async def play(engine: Engine, said: list[str]) -> None:
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        async with asyncio.timeout(20):
            assert await engine.ended() == -signal.SIGKILL
        with pytest.raises(EngineBroken):
            await engine.reload(engine.served)
        with pytest.raises(EngineError, match="does not answer"):
            await engine.state()
        await engine.start()
        assert _text(await _ask(engine)) == "one"

    _play(tmp_path, play)


def test_an_engine_that_does_not_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    async def play() -> None:
        engine = Engine(_spec(tmp_path), served(write_model(tmp_path / "bad", "broken"), 1), label="e", say=print)
        with pytest.raises(EngineError, match=r"the engine ended: these weights cannot be loaded .*logs/e.log"):
            await engine.start()
        assert engine.pid is None
        await engine.close()

    asyncio.run(play())


def test_an_engine_that_never_answers_is_ended_at_its_limit(tmp_path: Path) -> None:
    async def play() -> None:
        spec = _spec(tmp_path, command=(sys.executable, "-c", "import time; time.sleep(600)"), start_s=0.5)
        engine = Engine(spec, served(write_model(tmp_path / "one", "one"), 1), label="e", say=print)
        with pytest.raises(EngineError, match="did not answer within 0 s"):
            await engine.start()
        assert engine.pid is None
        await engine.close()

    asyncio.run(play())


_FRONT = """
import asyncio, os, sys
from pathlib import Path
from tests.tao_ops.serve.test_engines import _spec
from tao_ops.serve.engines import Engine
from tests.tao_ops.serve.engine_child import served

async def main():
    engine = Engine(_spec(Path(sys.argv[1])), served(Path(sys.argv[1]) / "one", 1), label="e", say=lambda line: None)
    await engine.start()
    print(engine.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_an_engine_dies_with_a_server_that_is_killed(tmp_path: Path) -> None:
    write_model(tmp_path / "one", "one")
    front = subprocess.Popen([sys.executable, "-c", _FRONT, str(tmp_path)], stdout=subprocess.PIPE, cwd=PROJECT)
    assert front.stdout is not None
    engine = psutil.Process(int(front.stdout.readline()))
    family = [engine, *engine.children(recursive=True)]
    front.kill()
    front.wait()
    deadline = time.monotonic() + 20
    while any(_lives(one) for one in family) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [one for one in family if _lives(one)]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
