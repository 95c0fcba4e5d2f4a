"""vLLM's OpenAI-compatible server as a process of its own, whose weights can be changed while it runs.

``python -m tao_ops.backends.vllm_server`` reads one line of JSON from its standard input (:class:`Job`) and serves on
a socket that it is handed. Nothing is asked for or answered without the job's key: others may have an account on this
machine. It ends, and all its processes with it, when its standard input is closed: with whoever started it, however
that one died.
"""

import asyncio
import hmac
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tao_ops.config.stages import EngineConfig

if TYPE_CHECKING:
    from argparse import Namespace

    from vllm.engine.protocol import EngineClient

MODEL_HEADER = "x-tao-engine-model"
"""On every response of ``/v1``: the digest of the weights that the engine held when the request began."""
STATE, RELOAD = "/tao/engine/state", "/tao/engine/reload"
_CPU_BLOCK = 32
"""Tokens of a block of keys and values on a CPU: less of a shared prefix is computed again than with 128."""
_PAUSE_SECONDS = 30.0
"""How long a change of weights waits for what is being answered; the caller has seen to it that nothing is."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True)
class Job:
    """What one engine is started with.

    Attributes:
        name: the model's name in requests.
        path: the model's folder, with the digest ``model_version``.
        key: what every request has to carry: ``Authorization: Bearer <key>``.
        socket: number of an inherited socket that is bound and does not listen yet.
        batch: most responses that are sampled at once.
        config: the flywheel's engine; its ``batch`` is not looked at.
    """

    name: str
    path: str
    model_version: str
    key: str
    socket: int
    seed: int
    batch: int
    config: EngineConfig

    def line(self) -> bytes:
        """The line of JSON that it travels as."""
        told = {**{name: getattr(self, name) for name in self.__dataclass_fields__}, "config": self.config.model_dump()}
        return json.dumps(told).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> "Job":
        """Of :meth:`line`."""
        told = json.loads(line)
        return cls(**{**told, "config": EngineConfig.model_validate(told["config"])})


@dataclass
class State:
    """What the engine holds, as ``GET /tao/engine/state`` tells it.

    Attributes:
        changes: how often the weights were changed.
        mixed: responses during which they were: none, where the gate before this server holds.
        broken: why the weights are not to be trusted; None where they are. Such an engine answers nothing.
    """

    model_version: str
    path: str
    changes: int = 0
    mixed: int = 0
    broken: str | None = None
    changing: bool = False


class Guarded:
    """The app behind the key, with the routes of the engine itself."""

    def __init__(self, app: App, key: str, state: State, client: "EngineClient") -> None:
        self._app, self._key, self.state, self._client = app, f"Bearer {key}".encode(), state, client
        self._lock = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; of a websocket nothing is served."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return None
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, self._key):
            return await _answer(send, 401, {"error": {"message": "this engine has a key", "code": 401}})
        match scope["method"], scope["path"]:
            case "GET", path if path == STATE:
                return await _answer(send, 200, asdict(self.state))
            case "POST", path if path == RELOAD:
                return await _answer(send, *await self._reload(await _body(receive)))
        return await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = self.state
        if state.changing or state.broken:
            why = state.broken or "the weights are being changed"
            return await _answer(send, 503, {"error": {"message": why, "code": 503}})
        began, mine = state.changes, (MODEL_HEADER.encode(), state.model_version.encode())

        async def marked(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), mine]}
            await send(message)

        try:
            await self._app(scope, receive, marked)
        finally:
            state.mixed += state.changes != began and scope["path"].startswith("/v1/")
        return None

    async def _reload(self, body: bytes) -> tuple[int, dict[str, Any]]:
        try:
            told = json.loads(body)
            path, model_version = str(told["path"]), str(told["model_version"])
        except (ValueError, KeyError, TypeError):
            return 400, {"error": "a change of weights names 'path' and 'model_version'"}
        if not os.path.isdir(path):  # vLLM would look for it on a hub
            return 422, {"error": "there is no such folder", **asdict(self.state)}
        async with self._lock:
            self.state.changing = True
            try:
                return await self._changed(path, model_version)
            finally:
                self.state.changing = False

    async def _changed(self, path: str, model_version: str) -> tuple[int, dict[str, Any]]:
        client, state = self._client, self.state
        try:
            async with asyncio.timeout(_PAUSE_SECONDS):
                await client.pause_generation(mode="wait")
        except TimeoutError:
            await client.resume_generation()
            return 409, {"error": f"requests were under way for longer than {_PAUSE_SECONDS:.0f} s", **asdict(state)}
        try:
            why = await self._put(path)
            if why is None:
                state.path, state.model_version = path, model_version
                state.changes += 1
            elif (worse := await self._put(state.path)) is not None:  # half of the new weights may be in place
                state.broken = f"neither the new weights could be loaded ({why}) nor the old ones ({worse})"
            await client.reset_prefix_cache()  # what is kept of prompts was computed with other weights
        finally:
            await client.resume_generation()
        if state.broken:
            return 500, {"error": state.broken, **asdict(state)}
        return (200, asdict(state)) if why is None else (422, {"error": why, **asdict(state)})

    async def _put(self, path: str) -> str | None:
        """Put the folder's weights in place; why not, where that failed."""
        try:
            await self._client.collective_rpc("reload_weights", kwargs={"weights_path": path})
        except Exception as error:  # vLLM hands over whatever its loader raised
            return " ".join(f"{type(error).__name__}: {error}".split())[:500]
        return None


async def _body(receive: Receive) -> bytes:
    body: bytes = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body


async def _answer(send: Send, status: int, told: dict[str, Any]) -> None:
    body = json.dumps(told).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def guard(sockets: tuple[int, ...]) -> None:
    """Fork a small process that kills this one's whole group once standard input is closed or this process is gone.

    To be called before anything heavy is loaded or any thread is started. ``sockets`` are closed in it.
    """
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    me = os.pidfd_open(os.getpid())
    if os.fork():
        os.close(me)
        return
    for number in sockets:
        os.close(number)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # its own end would leave the others unguarded
    while True:
        ready, _, _ = select.select([0, me], [], [])
        if me in ready or not os.read(0, 4096):
            os.killpg(os.getpgrp(), signal.SIGKILL)


def arguments(job: Job, port: int, *, cpu: bool) -> list[str]:
    """vLLM's own options, as :mod:`tao_ops.backends.vllm_engine` sets them for sampling offline."""
    config = job.config
    told = {
        "model": job.path,
        "served-model-name": job.name,
        "host": "127.0.0.1",
        "port": port,
        "seed": job.seed,
        "dtype": "auto",
        "max-model-len": config.context,
        "tensor-parallel-size": config.tensor_parallel,
        "gpu-memory-utilization": config.gpu_memory,
        "max-num-seqs": job.batch,
        "uvicorn-log-level": "error",
        "allowed-origins": "[]",
    }
    if cpu:
        told |= {"block-size": _CPU_BLOCK, "kv-cache-memory-bytes": config.cpu_cache_gib << 30}
    # No request is logged, and with it no prompt.
    flags = ["enable-prefix-caching", "no-enable-log-requests", "disable-uvicorn-access-log", "disable-fastapi-docs"]
    flags += ["no-trust-remote-code", *(["enforce-eager"] if cpu else [])]
    return [f"--{name}={value}" for name, value in told.items()] + [f"--{name}" for name in flags]


def main() -> None:
    """Serve until standard input is closed, or SIGTERM."""
    line = bytearray()
    while not line.endswith(b"\n"):  # byte by byte: what is left belongs to the guard
        byte = os.read(0, 1)
        if not byte:
            sys.exit(1)
        line += byte
    job = Job.read(bytes(line))
    guard((job.socket,))
    sock = socket.socket(fileno=job.socket)
    try:
        _serve(job, sock)
    except (RuntimeError, ValueError, OSError, MemoryError) as error:
        print(f"error: vLLM did not start: {' '.join(str(error).split())[:500]}", flush=True)
        sys.exit(1)


def _serve(job: Job, sock: socket.socket) -> None:
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    import uvloop
    from vllm.platforms import current_platform

    args = _parsed(arguments(job, sock.getsockname()[1], cpu=current_platform.is_cpu()))
    uvloop.run(_run(job, sock, args))


def _parsed(told: list[str]) -> "Namespace":
    from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    args: Namespace = make_arg_parser(FlexibleArgumentParser()).parse_args(told)
    validate_parsed_serve_args(args)
    return args


async def _run(job: Job, sock: socket.socket, args: "Namespace") -> None:
    import uvicorn
    from vllm.entrypoints.launchers.api_server.app_state import init_app_state
    from vllm.entrypoints.launchers.api_server.entry import build_async_engine_client
    from vllm.entrypoints.launchers.app import build_app

    state = State(model_version=job.model_version, path=job.path)
    async with build_async_engine_client(args) as client:
        tasks = await client.get_supported_tasks()
        app = build_app(args, tasks, client.model_config)
        await init_app_state(client, app.state, args, tasks)
        guarded = Guarded(app, job.key, state, client)
        config = uvicorn.Config(guarded, log_level="error", access_log=False, timeout_graceful_shutdown=5)
        app.state.server = server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        while not serving.done() and not client.errored:
            await asyncio.sleep(0.5)
        if client.errored:
            print("error: vLLM's engine died", flush=True)
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await serving


if __name__ == "__main__":
    main()
