"""A server changes its champion's weights ten times in a row while clients ask it, and no answer is lost or mixed.

A cell is one seed. ``tao serve`` runs with the embedded model on a CPU; two more versions are that model with seeded
noise on its weights, so that their greedy answers differ. First each version is asked every prompt several times,
alone and beside others; a prompt counts where each version has one answer to it, and no two versions the same. Then
clients (the ``openai`` package, without its retries) ask, half of them streaming, while the champion record moves
from version to version; each move waits until all servers report it and some answers of it have come. Every answer
has to be the one that the version in its header gives, whole; afterwards each answered request has to be captured,
once.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from tao_ops.backends import embedded_model
from tao_ops.database import connect, start_embedded
from tao_ops.models import model_facts, model_ref
from tao_ops.registry import BASE, Registry, Submission
from tao_ops.serve.exchange import REQUEST_ID, VERSION
from tao_ops.serve.servers import deployed
from tao_ops.settings import PROJECT
from tao_ops.telemetry import quiet
from trials.record import Cells

if TYPE_CHECKING:
    from openai import AsyncOpenAI

SEEDS = (1,)
SWAPS = 10
CLIENTS = 6
FLYWHEEL = "tickets"
TOKENS = 24
NOISE = 0.05
"""Standard deviation of what is added to a matrix, in that of its own numbers."""
_ANSWERS_BETWEEN = 12
"""So many answers of a version have to come before the next move."""
_START_S, _MOVE_S, _END_S = 600.0, 300.0, 120.0
_ROUNDS = 3
_SERVER = (sys.executable, "-m", "tao_ops.cli", "serve", FLYWHEEL)
_QUESTIONS = (
    "Name a fruit that is red.",
    "What is the capital of France?",
    "Write one sentence about the sea.",
    "How many legs has a spider?",
    "Say hello to Anna.",
    "What do bees make?",
    "Tell me about the moon in one sentence.",
    "Order 33, a blue lamp for Mia, never came to Oslo. What is missing?",
    "What colour is grass?",
    "Give me a word that rhymes with cat.",
    "Who wrote Hamlet?",
    "What is two and three?",
)
_SERVE = {
    "prompt": "client",
    "batch": 16,
    "limits": {"requests_a_minute": 100_000, "burst": 1000, "concurrent": 64},
}


@dataclass(frozen=True)
class Answered:
    """One answer, or why there is none.

    Attributes:
        error: None where it came whole.
    """

    question: str
    streamed: bool
    request_id: str | None = None
    version: int | None = None
    text: str = ""
    error: str | None = None


@dataclass
class Load:
    """What the clients have been told so far."""

    answers: list[Answered] = field(default_factory=list)
    over: bool = False

    def of(self, version: int) -> int:
        """How many answers a version has given."""
        return sum(one.version == version and one.error is None for one in self.answers)


def run() -> bool:
    """Measure the cells that this commit lacks; true where in every one nothing failed and nothing was mixed."""
    quiet()
    cells = Cells("swaps")
    for seed in SEEDS:
        if not cells.known(seed):
            cell = _cell(seed)
            cells.keep(seed, cell, _outcome)
            print(f"seed {seed}: {_outcome({str(seed): cell})}", flush=True)
    print(f"swaps: {_outcome(cells.cells)}")
    return all(cell["held"] for cell in cells.cells.values())


def _outcome(cells: Mapping[str, Mapping[str, Any]]) -> str:
    total = {k: sum(c[k] for c in cells.values()) for k in ("swaps", "answers", "streamed", "failed", "mixed", "lost")}
    rows = sum(cell["captured"] for cell in cells.values())
    slowest = max((s for cell in cells.values() for s in cell["swap_seconds"]), default=0.0)
    return (
        f"{total['swaps']} swaps under {total['answers']} answers, {total['streamed']} of them streamed: "
        f"{total['failed']} failed, {total['mixed']} not the answer of their version, {total['lost']} lost; "
        f"{rows} captured; the slowest swap took {slowest:.1f} s from the record to the last server"
    )


def _cell(seed: int) -> dict[str, Any]:
    # A short path: a Unix socket's may not be longer than 107 characters.
    with tempfile.TemporaryDirectory(prefix="tao-") as scratch:
        home = Path(scratch)
        base = embedded_model.prepare(Path(os.environ.get("TAO_CACHE") or PROJECT / ".tao" / "cache"))
        database = start_embedded(home)
        try:
            registry = Registry(database.url("tao"), home / "mlflow-artifacts")
            for number in (1, 2):
                _register(registry, _noisy(base, home / f"version-{number}", seed + 100 * number), number)
            with _server(home, database.url("tao"), _include(home)) as (url, process):
                told = asyncio.run(_play(url, registry, database.url("tao"), random.Random(seed)))
                told["exit"] = _ended(process)
            return _judged(told, home / "captured" / FLYWHEEL)
        finally:
            database.stop()


def _noisy(base: Path, folder: Path, seed: int) -> Path:
    """The model with noise on its matrices, of the same shape and type."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(base, folder)
    draw, weights = torch.Generator().manual_seed(seed), load_file(base / "model.safetensors")
    for name, tensor in weights.items():
        if tensor.dim() == 2 and "embed" not in name:
            noise = torch.randn(tensor.shape, generator=draw) * tensor.float().std() * NOISE
            weights[name] = (tensor.float() + noise).to(tensor.dtype)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _register(registry: Registry, folder: Path, number: int) -> None:
    ref = model_ref(folder)
    facts = model_facts(ref).as_dict()
    made = {"base": {"version": 0, "model_version": "base"}, "method": "noise", "hyperparameters": {}, "rows": 0}
    candidate = {**facts, **made, "path": ref.path, "seed": number, "metrics": {}}
    report = {"benchmarks": [{"name": "t", "champion": 0.0, "control": None, "candidate": 1.0, "delta": 1.0}]}
    verdict = {"decision": "promote", "reasons": ["a trial"]}
    turn = f"2026-01-{number:02}T00:00Z"
    submission = Submission(FLYWHEEL, turn, f"run-{number}", candidate, report, verdict, str(folder / "config.json"))
    version = registry.register(submission)
    assert version == number


def _include(home: Path) -> Path:
    """The project's flywheels, of which the example's is served as a trial needs it."""
    include = home / "include"
    shutil.copytree(PROJECT / "include", include)
    path = include / "flywheels" / f"{FLYWHEEL}.yaml"
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    told |= {"serve": _SERVE, "engine": {"cpu_cache_gib": 1, "context": 1024}}
    path.write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")
    return include


@contextmanager
def _server(home: Path, database_url: str, include: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """``tao serve``, ready, on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    cache = os.environ.get("TAO_CACHE") or str(PROJECT / ".tao" / "cache")
    places = {"TAO_HOME": home, "TAO_LAKE": home / "lake", "TAO_INCLUDE": include, "TAO_CACHE": cache}
    told = {**os.environ, **{k: str(v) for k, v in places.items()}, "TAO_DATABASE_URL": database_url}
    command = [*_SERVER, "--port", str(port)]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, env={**told, "TAO_HASH_KEY": "a trial's key"}, stdout=log, stderr=log, cwd=PROJECT
        )
    try:
        _wait_healthy(f"http://127.0.0.1:{port}", process, home / "server.log")
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait()


def _wait_healthy(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=10, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    raise RuntimeError(f"the server did not start: {log.read_text(encoding='utf-8')[-2000:]}")


def _ended(process: "subprocess.Popen[bytes]") -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=_END_S)


async def _play(url: str, registry: Registry, database_url: str, rng: random.Random) -> dict[str, Any]:
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=300)
    known: dict[int, dict[str, str]] = {}
    before = Load()
    for version in (BASE, 1, 2):
        await _move(registry, database_url, version)
        known[version] = await _known(client, before)
    different = [
        q for q in _QUESTIONS if all(q in known[v] for v in known) and len({known[v][q] for v in known}) == len(known)
    ]
    print(f"{len(different)} of {len(_QUESTIONS)} questions tell the versions apart", flush=True)
    load, seconds = Load(), list[float]()
    clients = [
        asyncio.create_task(_client(client, different, load, random.Random(rng.random()))) for _ in range(CLIENTS)
    ]
    try:
        now = 2
        for _ in range(SWAPS):
            now = rng.choice([version for version in known if version != now])
            seconds.append(await _move(registry, database_url, now))
            await _more(load, now)
            print(f"version {now} after {seconds[-1]:.1f} s; {len(load.answers)} answers", flush=True)
    finally:
        load.over = True
        await asyncio.gather(*clients)
        await client.close()
    return {"known": known, "different": different, "before": before, "load": load, "seconds": seconds}


async def _move(registry: Registry, database_url: str, version: int) -> float:
    """Move the champion record, and wait until every server serves it; how long that took."""

    def move() -> None:
        old = registry.champion_version(FLYWHEEL)
        how = registry.rollback if version == BASE else registry.promote
        if old != version:
            how(FLYWHEEL, version, expected_champion=old, who="a trial", why="a trial")

    def there() -> bool:
        with connect(database_url) as connection:
            found = deployed(connection, FLYWHEEL)
        return found.done and bool(found.on)

    await asyncio.to_thread(move)
    began = time.monotonic()
    async with asyncio.timeout(_MOVE_S):
        while not await asyncio.to_thread(there):
            await asyncio.sleep(0.1)
    return time.monotonic() - began


async def _more(load: Load, version: int) -> None:
    have = load.of(version)
    async with asyncio.timeout(_MOVE_S):
        while load.of(version) < have + _ANSWERS_BETWEEN:
            await asyncio.sleep(0.05)


async def _known(client: "AsyncOpenAI", load: Load) -> dict[str, str]:
    """The answers that the version of now always gives, whatever is asked beside it."""
    seen: dict[str, set[str]] = {}
    answers = [await _ask(client, question, False) for question in _QUESTIONS]
    for round_ in range(_ROUNDS):
        for i in range(0, len(_QUESTIONS), CLIENTS):
            some = _QUESTIONS[i : i + CLIENTS]
            answers += await asyncio.gather(*(_ask(client, q, (n + round_) % 2 == 0) for n, q in enumerate(some)))
    load.answers += answers
    for one in answers:
        if one.error is None:
            seen.setdefault(one.question, set()).add(one.text)
    return {question: texts.pop() for question, texts in seen.items() if len(texts) == 1}


async def _client(client: "AsyncOpenAI", questions: list[str], load: Load, rng: random.Random) -> None:
    while not load.over:
        load.answers.append(await _ask(client, rng.choice(questions), rng.random() < 0.5))


async def _ask(client: "AsyncOpenAI", question: str, stream: bool) -> Answered:
    import openai

    told: dict[str, Any] = {"model": FLYWHEEL, "messages": [{"role": "user", "content": question}]}
    told |= {"temperature": 0, "max_tokens": TOKENS, "stream": stream}
    try:
        raw = await client.chat.completions.with_raw_response.create(**told)
        answer = raw.parse()
        if stream:
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in answer if chunk.choices])
        else:
            text = answer.choices[0].message.content or ""
    except (openai.OpenAIError, httpx.HTTPError) as error:
        return Answered(question, stream, error=f"{type(error).__name__}: {error}"[:300])
    return Answered(question, stream, raw.headers[REQUEST_ID], int(raw.headers[VERSION]), text)


def _judged(told: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What came of it; a mixed answer is one that its version does not give."""
    known, load, before = told["known"], told["load"], told["before"]
    every = [*before.answers, *load.answers]
    answered = Counter(one.request_id for one in every if one.error is None)
    lines = [json.loads(line) for file in sorted(folder.rglob("*.jsonl")) for line in file.read_bytes().splitlines()]
    captured = Counter(line["request_id"] for line in lines if line["kind"] == "exchange")
    failed = [one for one in every if one.error is not None]
    good = [one for one in load.answers if one.error is None]
    mixed = [one for one in good if one.text != known[one.version][one.question]]
    cell = {
        "swaps": len(told["seconds"]),
        "swap_seconds": [round(s, 2) for s in told["seconds"]],
        "clients": CLIENTS,
        "questions": len(told["different"]),
        "answers": len(good),
        "streamed": sum(one.streamed for one in good),
        "by_version": {str(v): sum(one.version == v for one in good) for v in known},
        "failed": len(failed),
        "errors": sorted({str(one.error) for one in failed}),
        "mixed": len(mixed),
        "not_theirs": [[one.version, one.text, known[one.version][one.question]] for one in mixed][:5],
        "lost": sum((answered - captured).values()),
        "captured": sum(captured.values()),
        "answered": sum(answered.values()),
        "exit": told["exit"],
    }
    right = not failed and not mixed and captured == answered and cell["swaps"] == SWAPS and told["exit"] == 0
    return {**cell, "held": right and len(told["different"]) > 0}
