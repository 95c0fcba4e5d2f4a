"""The capture killed by SIGKILL at seeded moments under load: its server, its writer, or both at once.

A cell is ten kills around a light ASGI app, or three around vLLM's own server (``TAO_TRIAL_ENGINE=0`` leaves that one
out). Clients ask without a pause, streams and not; another asks the capture every 10 ms how many records it took and
how many of them are on the disk. At the end ``ingest`` reads what the servers and writers left. Every answer that came
before a sync that the capture told of has to be in the lake, once; of a server whose writer alone was killed, every
answer there was; and nothing has to be there that nobody asked.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from tao_ops.settings import PROJECT, Settings
from trials.capture_kills.lake import KEY, taken
from trials.capture_kills.load import Load, Seen
from trials.record import Cells

SEEDS = (1, 2, 3, 4, 5)
KILLS, ENGINE_KILLS = 10, 3
ENGINE_SEED = 6
CLIENTS, TOKENS = 6, 8
LONGEST_S = 1.5
"""A kill falls so long after the first sync at most."""
EARLY = 0.2
"""Share of the kills that fall so long after the first request instead: the writer may not be ready."""
_START_S = 300.0
TARGETS = ("server", "writer", "both")


def run() -> bool:
    """Measure the cells that this commit lacks; true where every answer that was synced is in the lake, once."""
    cells = Cells("capture_kills")
    for seed in SEEDS:
        if not cells.known(seed):
            _keep(cells, seed, lambda folder, seed=seed: killed(folder, seed, KILLS))  # type: ignore[misc]
    if os.environ.get("TAO_TRIAL_ENGINE") == "0":
        print("vLLM's server is left out: TAO_TRIAL_ENGINE=0")
    elif not cells.known(ENGINE_SEED):
        _keep(cells, ENGINE_SEED, lambda folder: killed(folder, ENGINE_SEED, ENGINE_KILLS, engine=True))
    print(f"capture_kills: {_outcome(cells.cells)}")
    return all(cell["held"] for cell in cells.cells.values())


def _keep(cells: Cells, seed: int, measure: Callable[[Path], dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory(prefix="tao-") as scratch:
        cells.keep(seed, measure(Path(scratch)), _outcome)
    print(f"seed {seed}: {_outcome({str(seed): cells.cells[str(seed)]})}", flush=True)


def _outcome(cells: dict[str, dict[str, Any]]) -> str:
    def kills(server: str) -> int:
        return sum(len(cell["kills"]) for cell in cells.values() if cell["server"] == server)

    def total(name: str) -> int:
        return sum(int(cell[name]) for cell in cells.values())

    held = sum(cell["held"] for cell in cells.values())
    return (
        f"{kills('light')} kills around a light app, {kills('vllm')} around vLLM's server; of {total('answered')} "
        f"answers {total('synced')} came before a sync, {total('missing')} of them are missing and {total('twice')} "
        f"twice, in {held} of {len(cells)} cells as it should be; {total('rows')} rows, {total('repeated')} lines "
        f"written twice and taken once, {total('torn')} torn"
    )


def killed(folder: Path, seed: int, kills: int, *, engine: bool = False) -> dict[str, Any]:
    """A cell: servers that are killed one after the other, and what ``ingest`` finds at the end.

    Raises:
        RuntimeError: a server did not start; the message is its log.
    """
    rng, since = random.Random(seed), datetime.now(UTC).date()
    captured, died = folder / "captured", []
    asked: set[str] = set()
    answered: set[str] = set()
    synced: set[str] = set()
    while len(died) < kills:
        target, delay, early = rng.choice(TARGETS), rng.uniform(0.0, LONGEST_S), rng.random() < EARLY
        server = Server(folder, captured, engine=engine)
        prefix = f"s{seed}-{len(died)}"
        load = Load(server.url, prefix, model=server.model, clients=CLIENTS, tokens=TOKENS)
        try:
            first = None if early else _first_sync(load)
            time.sleep(delay)
            lost = server.kill(target, load)
        finally:
            seen = load.end()
            server.end()
        wanted = set(seen.answered) if lost == 0 else seen.synced()
        asked |= seen.asked
        answered |= set(seen.answered)
        synced |= wanted
        died.append(
            {
                "killed": target,
                "after_s": round(delay, 3),
                "first_sync_s": None if first is None else round(first, 3),
                "answered": len(seen.answered),
                "synced": len(wanted),
            }
        )
        print(f"seed {seed}: {died[-1]}", flush=True)
    _let_writers_end(captured)
    found = taken(folder / "home", captured, since)
    known = {one.removeprefix("chatcmpl-"): count for one, count in found.times.items()}
    missing = [one for one in synced if one.removeprefix("chatcmpl-") not in known]
    twice = [one for one, count in known.items() if count > 1]
    unasked = [one for one in known if one not in asked]
    return {
        "server": "vllm" if engine else "light",
        "kills": died,
        "answered": len(answered),
        "synced": len(synced),
        "rows": found.times.total(),
        "repeated": found.repeated,
        "torn": found.quarantine.get("torn", 0),
        "missing": len(missing),
        "twice": len(twice),
        "unasked": len(unasked),
        "held": not (missing or twice or unasked) and not set(found.quarantine) - {"torn"},
    }


class Server:
    """A server under the capture, as a process in a session of its own.

    Raises:
        RuntimeError: it did not start; the message is its log.
    """

    def __init__(self, folder: Path, captured: Path, *, engine: bool) -> None:
        self.log = folder / "server.log"
        self.model = "light"
        environment = {
            **{name: value for name, value in os.environ.items() if name != "TAO_FLYWHEEL"},
            "TAO_CAPTURE_PATH": str(captured),
            "TAO_HASH_KEY": KEY,
            "TAO_HOME": str(folder / "home"),
            "PYTHONPATH": str(PROJECT),
        }
        command = [sys.executable, "-m", "trials.capture_kills.app"]
        port = 0
        if engine:
            from tao_ops.backends import embedded_model

            self.model = str(embedded_model.prepare(Settings.from_env().cache))
            port = _free_port()
            command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", self.model]
            command += ["--host", "127.0.0.1", "--port", str(port), "--max-model-len", "512", "--max-num-seqs", "8"]
            command += ["--enforce-eager", "--middleware", "trials.capture_kills.app.Counted"]
            environment["VLLM_CPU_KVCACHE_SPACE"] = "1"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                env=environment,
                cwd=folder,
                stdout=log if engine else subprocess.PIPE,  # the light one prints its port, the other a log
                stderr=log,
                start_new_session=True,
            )
        if self.process.stdout is not None:
            port = int(self.process.stdout.readline() or 0)
        self.url = f"http://127.0.0.1:{port}"
        self._await()

    def _await(self) -> None:
        end = time.monotonic() + _START_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                httpx.get(f"{self.url}/counts", timeout=5.0).raise_for_status()
                return
            except httpx.HTTPError:
                time.sleep(0.05)
        self.end()
        raise RuntimeError(f"the server did not start: {self.log.read_text(encoding='utf-8')[-2000:]}")

    def kill(self, target: str, load: Load) -> int | None:
        """SIGKILL; where the server lives on, how many records are not written once another writer has come up."""
        while not load.seen.polls:
            time.sleep(0.01)
        writer = load.seen.polls[-1][1]["writer"]
        victims = {"server": [self.process.pid], "writer": [writer], "both": [writer, self.process.pid]}[target]
        for pid in victims:
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
        if target != "writer":
            return None
        time.sleep(0.2)
        load.end()
        counts = httpx.get(f"{self.url}/flushed", timeout=120.0).json()
        return int(counts["captured"] - counts["synced"] + counts["dropped.full"])

    def end(self) -> None:
        """Kill what is left of it, the engine's processes too."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def _first_sync(load: Load) -> float:
    """Seconds until the first record was on the disk."""
    began = time.monotonic()
    while not any(counts["synced"] for _, counts in load.seen.polls[-20:]):
        if time.monotonic() - began > _START_S:
            raise RuntimeError("nothing was written")
        time.sleep(0.01)
    return time.monotonic() - began


def _let_writers_end(captured: Path, quiet_s: float = 2.0) -> None:
    """Wait until the writers of killed servers have written what had reached them."""
    before, since = -1, time.monotonic()
    while time.monotonic() - since < quiet_s:
        size = sum(path.stat().st_size for path in captured.rglob("*.jsonl"))
        if size != before:
            before, since = size, time.monotonic()
        time.sleep(0.1)


def _free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


__all__ = ["ENGINE_KILLS", "KILLS", "SEEDS", "Seen", "Server", "killed", "run"]
