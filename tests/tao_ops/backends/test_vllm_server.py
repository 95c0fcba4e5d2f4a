"""The routes of an engine's process, around a stand-in for vLLM; its options; and that it leaves nothing behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tao_ops.backends import vllm_server
from tao_ops.backends.vllm_server import MODEL_HEADER, RELOAD, STATE, Guarded, Job, State, arguments
from tao_ops.config import EngineConfig

KEY = [(b"authorization", b"Bearer k3y")]
JOB = Job("tickets", "/models/one", "aaa", "k3y", 7, 1, 8, EngineConfig(cpu_cache_gib=3, context=512))


class Client:
    """vLLM's engine: which folders it can load is said by their names."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.calls: list[str] = []
        self.busy = False

    async def pause_generation(self, *, mode: str) -> None:
        self.calls.append(f"pause {mode}")
        if self.busy:
            await asyncio.sleep(60)

    async def resume_generation(self) -> None:
        self.calls.append("resume")

    async def reset_prefix_cache(self) -> None:
        self.calls.append("reset")

    async def collective_rpc(self, method: str, kwargs: dict[str, str]) -> None:
        self.calls.append(method)
        self.loaded.append(kwargs["weights_path"])
        if "bad" in kwargs["weights_path"]:
            raise RuntimeError("a tensor\nis missing")


async def _model(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await asyncio.sleep(0.02)
    await send({"type": "http.response.body", "body": b"an answer"})


def _guarded(path: Path) -> tuple[Guarded, Client]:
    client = Client()
    return Guarded(_model, "k3y", State("aaa", str(path)), client), client  # type: ignore[arg-type]


async def _ask(
    app: Guarded, path: str, body: Any = None, *, headers: Any = KEY, method: str = "POST"
) -> tuple[int, dict[str, str], bytes]:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"" if body is None else json.dumps(body).encode()}

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "http", "method": method, "path": path, "headers": headers}, receive, send)
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, b"".join(message.get("body", b"") for message in sent)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/metrics", STATE, RELOAD])
@pytest.mark.parametrize("headers", [[], [(b"authorization", b"Bearer other")]])
def test_nothing_is_answered_without_the_key(tmp_path: Path, path: str, headers: Any) -> None:
    app, client = _guarded(tmp_path)
    told = {"path": str(tmp_path), "model_version": "bbb"}
    assert asyncio.run(_ask(app, path, told, headers=headers))[0] == 401
    assert client.calls == []


def test_a_response_says_which_weights_made_it(tmp_path: Path) -> None:
    app, client = _guarded(tmp_path)

    async def play() -> None:
        assert (await _ask(app, "/v1/chat/completions"))[1][MODEL_HEADER] == "aaa"
        status, _, body = await _ask(app, RELOAD, {"path": str(tmp_path), "model_version": "bbb"})
        assert status == 200 and json.loads(body)["model_version"] == "bbb"
        assert (await _ask(app, "/v1/chat/completions"))[1][MODEL_HEADER] == "bbb"

    asyncio.run(play())
    # What is kept of prompts belongs to the old weights, and is dropped before anything is answered.
    assert client.calls == ["pause wait", "reload_weights", "reset", "resume"]


def test_weights_that_cannot_be_loaded_leave_the_old_ones_in_place(tmp_path: Path) -> None:
    bad, good = tmp_path / "bad", tmp_path / "good"
    bad.mkdir()
    good.mkdir()
    app, client = _guarded(good)

    async def play() -> None:
        status, _, body = await _ask(app, RELOAD, {"path": str(bad), "model_version": "bbb"})
        told = json.loads(body)
        assert status == 422 and "a tensor is missing" in told["error"] and told["model_version"] == "aaa"
        assert client.loaded == [str(bad), str(good)] and client.calls[-1] == "resume"
        assert (await _ask(app, "/v1/chat/completions"))[1][MODEL_HEADER] == "aaa"

    asyncio.run(play())


def test_an_engine_that_can_load_neither_says_that_it_is_broken_and_answers_nothing(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    app, _ = _guarded(bad)

    async def play() -> None:
        status, _, body = await _ask(app, RELOAD, {"path": str(bad), "model_version": "bbb"})
        assert status == 500 and json.loads(body)["broken"]
        assert (await _ask(app, "/v1/chat/completions"))[0] == 503

    asyncio.run(play())


@pytest.mark.parametrize("body", [None, [], {"path": "/x"}, "text", {"model_version": "b"}])
def test_a_change_that_is_not_one_is_refused(tmp_path: Path, body: Any) -> None:
    app, client = _guarded(tmp_path)
    assert asyncio.run(_ask(app, RELOAD, body))[0] == 400 and client.calls == []


def test_a_folder_that_is_gone_is_not_looked_for_anywhere_else(tmp_path: Path) -> None:
    app, client = _guarded(tmp_path)
    status, _, body = asyncio.run(_ask(app, RELOAD, {"path": str(tmp_path / "gone"), "model_version": "bbb"}))
    assert status == 422 and b"no such folder" in body and client.calls == []


def test_requests_that_do_not_end_keep_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app, client = _guarded(tmp_path)
    monkeypatch.setattr(vllm_server, "_PAUSE_SECONDS", 0.02)
    client.busy = True
    status, _, body = asyncio.run(_ask(app, RELOAD, {"path": str(tmp_path), "model_version": "bbb"}))
    assert status == 409 and json.loads(body)["model_version"] == "aaa"
    assert client.calls == ["pause wait", "resume"]


def test_while_weights_change_nothing_is_answered_and_what_was_caught_in_it_is_counted(tmp_path: Path) -> None:
    app, client = _guarded(tmp_path)

    async def play() -> None:
        caught = asyncio.create_task(_ask(app, "/v1/chat/completions"))
        await asyncio.sleep(0)
        await _ask(app, RELOAD, {"path": str(tmp_path), "model_version": "bbb"})
        await caught
        _, _, body = await _ask(app, STATE, method="GET")
        assert json.loads(body)["mixed"] == 1
        client.busy = True
        changing = asyncio.create_task(_ask(app, RELOAD, {"path": str(tmp_path), "model_version": "ccc"}))
        await asyncio.sleep(0.01)
        assert (await _ask(app, "/v1/chat/completions"))[0] == 503
        changing.cancel()

    asyncio.run(play())


def test_a_job_travels_as_one_line() -> None:
    line = JOB.line()
    assert line.count(b"\n") == 1 and Job.read(line) == JOB


def test_no_request_is_logged_and_the_engine_listens_on_loopback_alone() -> None:
    told = arguments(JOB, 4242, cpu=True)
    assert {"--no-enable-log-requests", "--disable-uvicorn-access-log", "--host=127.0.0.1"} <= set(told)
    assert {"--served-model-name=tickets", "--max-num-seqs=8", "--max-model-len=512", "--port=4242"} <= set(told)
    assert f"--kv-cache-memory-bytes={3 << 30}" in told and "--enforce-eager" in told
    assert "k3y" not in " ".join(told)
    on_gpu = arguments(JOB, 4242, cpu=False)
    assert "--gpu-memory-utilization=0.9" in on_gpu and "--enforce-eager" not in on_gpu


_FAMILY = """
import os, subprocess, sys, time
from tao_ops.backends.vllm_server import guard
guard(())
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("how", ["its starter goes", "it is killed"])
def test_the_whole_group_dies_with_its_starter_or_its_first_process(how: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None and process.stdout is not None
    leader, child = (int(word) for word in process.stdout.readline().split())
    group = [psutil.Process(pid) for pid in (leader, child)] + psutil.Process(leader).children()
    if how == "it is killed":
        os.kill(leader, signal.SIGKILL)
    else:
        process.stdin.close()  # as the kernel does it for a starter that was killed
    process.wait(timeout=20)
    deadline = time.monotonic() + 20
    while any(_lives(one) for one in group) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [one for one in group if _lives(one)]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
