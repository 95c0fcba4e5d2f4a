"""``tao serve`` as a process of its own, with a light process in the place of the engine."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import yaml

from tao_ops.errors import ConfigError
from tao_ops.serve import server
from tao_ops.serve.plan import plan
from tao_ops.settings import PROJECT, Settings
from tests.tao_ops.serve import engine_child
from tests.tao_ops.serve.engine_child import write_model

ASK = {"model": "tickets", "messages": [{"role": "user", "content": "where is Anna's lamp"}]}
SERVE = """
import sys, dataclasses
from tao_ops.serve import server
from tao_ops.serve.plan import plan
sys.argv.pop(0)
import os
from tao_ops.settings import Settings
planned = plan(sys.argv[0], host="127.0.0.1", port=int(sys.argv[1]), settings=Settings.from_env(),
                      environment=os.environ, say=lambda line: print(line, flush=True))
server.serve(dataclasses.replace(planned, command=(sys.executable, sys.argv[2])))
"""


@dataclass
class Process:
    """A server, and what it says."""

    process: "subprocess.Popen[str]"
    lines: list[str]

    def said(self, pattern: str, limit_s: float = 60) -> "re.Match[str]":
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            for line in list(self.lines):
                if match := re.search(pattern, line):
                    return match
            assert self.process.poll() is None, self.lines
            time.sleep(0.02)
        raise AssertionError(f"{pattern!r} was not said: {self.lines}")


@pytest.fixture
def home(tmp_path: Path, database_url: str) -> Path:
    """An installation whose flywheel's model is the light one's."""
    write_model(tmp_path / "base", "a lamp")
    include = tmp_path / "include"
    raw: dict[str, Any] = yaml.safe_load((PROJECT / "include/flywheels/tickets.yaml").read_text(encoding="utf-8"))
    raw["model"] = str(tmp_path / "base")
    raw["serve"] = {"drain": "5s"}
    include.mkdir()
    for one in (PROJECT / "include").iterdir():
        if one.name != "flywheels":
            (include / one.name).symlink_to(one)
    (include / "flywheels").mkdir()
    (include / "flywheels/tickets.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    return tmp_path


@pytest.fixture
def environment(home: Path, database_url: str) -> dict[str, str]:
    told = {
        "TAO_HOME": home / "h",
        "TAO_INCLUDE": home / "include",
        "TAO_DATABASE_URL": database_url,
        "PYTHONPATH": PROJECT,
    }
    return {**os.environ, "TAO_HASH_KEY": "a secret", **{name: str(value) for name, value in told.items()}}


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Callable[[], Process]]:
    started: list[Process] = []

    def make() -> Process:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, "tickets", "0", engine_child.__file__],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        found = Process(process, [])
        threading.Thread(target=lambda: found.lines.extend(iter(process.stdout.readline, "")), daemon=True).start()
        started.append(found)
        return found

    yield make
    for one in started:
        one.process.kill()
        one.process.wait()


def test_a_server_from_its_first_line_to_its_last(start: Callable[[], Process], home: Path) -> None:
    server = start()
    url = server.said(r"is served on (http://127\.0\.0\.1:\d+)/v1")[1]
    early = httpx.get(f"{url}/health", timeout=20)
    assert early.status_code in (200, 503) and ("retry-after" in early.headers or early.status_code == 200)
    server.said(r"no API key is asked for, and this machine only may connect")
    folder = Path(server.said(r"captured, redacted: (.*)")[1])
    ready = server.said(r"ready after .* version 0 .*; ask it: (curl .*)")[1]
    shown = subprocess.run(ready, shell=True, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(shown.stdout)["choices"][0]["message"]["content"] == "a lamp"

    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    answer = client.chat.completions.create(**ASK, user="anna")
    assert answer.choices[0].message.content == "a lamp"
    assert httpx.post(f"{url}/v1/feedback", json={"request_id": answer._request_id, "rating": "up"}).status_code == 202
    _until(lambda: 'tao_capture_total{what="synced"} 3.0' in httpx.get(f"{url}/metrics").text)
    assert 'tao_swaps_total{result="taken"} 0.0' in httpx.get(f"{url}/metrics").text

    # What is under way when it is told to end, ends; what comes later is not taken.
    words: list[str] = []

    def stream() -> None:
        for chunk in client.chat.completions.create(**ASK, stream=True):
            words.append(chunk.choices[0].delta.content or "")

    thread = threading.Thread(target=stream)
    thread.start()
    _until(lambda: bool(words))
    server.process.send_signal(signal.SIGTERM)
    thread.join(20)
    assert "".join(words) == "a lamp"
    assert server.process.wait(30) == 0
    assert server.lines[-1].strip() == "stopped"
    lines = [json.loads(line) for file in folder.rglob("*.jsonl*") for line in file.read_text().splitlines()]
    assert len(lines) == 4 and sum(line.get("feedback") == "up" for line in lines) == 1
    assert "Anna" not in "".join(server.lines)


def _until(true: Callable[[], bool], limit_s: float = 20) -> None:
    until = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_server_that_is_told_to_end_while_it_starts_ends(start: Callable[[], Process]) -> None:
    server = start()
    server.said("is served on")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0


def test_a_database_that_was_being_started_is_stopped_with_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    @contextmanager
    def slow(settings: Any) -> Iterator[str]:
        time.sleep(0.2)
        seen.append("started")
        yield "url"
        seen.append("stopped")

    async def keep() -> None:
        async with server._database(None):  # type: ignore[arg-type]
            await asyncio.sleep(3600)

    async def play() -> None:
        task = asyncio.create_task(keep())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    monkeypatch.setattr(server, "database", slow)
    asyncio.run(play())
    assert seen == ["started", "stopped"]


def _plan(environment: dict[str, str], name: str = "tickets", host: str = "127.0.0.1", port: int = 0) -> Any:
    settings = Settings(
        home=Path(environment["TAO_HOME"]), cache=Path("c"), lake="l", database_url=environment["TAO_DATABASE_URL"],
        include=Path(environment["TAO_INCLUDE"]), hash_key="k",
    )  # fmt: skip
    return plan(name, host=host, port=port, settings=settings, environment=environment, say=lambda line: None)


def test_what_is_wrong_is_said_before_anything_starts(
    environment: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAO_HOME", environment["TAO_HOME"])
    with pytest.raises(ConfigError, match="there is no flywheel 'tockets'"):
        _plan(environment, "tockets")
    with pytest.raises(ConfigError, match="without API keys the server listens on this machine only, not on 0.0.0.0"):
        _plan(environment, host="0.0.0.0")
    planned = _plan(environment)
    with planned.listening, pytest.raises(ConfigError, match="cannot listen: Address already in use"):
        _plan(environment, port=planned.port)
    file = home / "include/flywheels/tickets.yaml"
    raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    file.write_text(yaml.safe_dump({**raw, "serve": {"keys": "${TAO_HOME}/keys.json"}}), encoding="utf-8")
    with pytest.raises(ConfigError, match="the file of API keys is missing"):
        _plan(environment)
    file.write_text(yaml.safe_dump(raw), encoding="utf-8")
    with _plan({**environment, "TAO_SERVE_KEYS": "shop=a-key-of-twenty-characters"}, host="0.0.0.0").listening:
        pass
