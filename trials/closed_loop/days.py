"""Some days of a few minutes each: the services, the traffic, and what came of both."""

import json
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import yaml

from tao_ops.database import connect, database
from tao_ops.launch.process import Process
from tao_ops.launch.stage import tao_command
from tao_ops.local.environment import empty_home
from tao_ops.local.state import recorded
from tao_ops.registry import record
from tao_ops.registry.record import EventKind
from tao_ops.settings import PROJECT, Settings
from trials.closed_loop.clients import Answer, Users, as_rows

NAME, TOKENS = "tickets", 24_000
START_S, READY_S, STOP_S = 300.0, 420.0, 60.0


@dataclass
class Loop:
    """One seed's days in one home.

    Attributes:
        minutes: of a day.
        queries: of a day, evenly spread.
        days: whose traffic is trained on; two more are answered.
    """

    home: Path
    seed: int
    minutes: int
    queries: int
    days: int

    def run(self) -> dict[str, Any]:
        """Let the days pass; what users saw, and what the lake and the registry know of it."""
        env = self._environment()
        with _airflow(env):
            with _server(env) as url:
                answers, began = self._days(url)
                mixed = _mixed(url)
            # The server is stopped: all that it took is written.
            return self._told(answers, began, mixed)

    def _environment(self) -> dict[str, str]:
        include = self.home / "include"
        shutil.copytree(PROJECT / "include", include)
        path = include / "flywheels" / f"{NAME}.yaml"
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
        told |= {"schedule": f"*/{self.minutes} * * * *", "seed": self.seed, "ingest": {"lateness": f"{self.minutes}m"}}
        # What users ask is the only data.
        told["sources"] = [one for one in told["sources"] if one["format"] == "captured"]
        # The control decides nothing.
        told["evaluate"] = {"control": None}
        # A day is short.
        told["generate"]["budget"] = {"tokens": TOKENS}
        path.write_text(yaml.safe_dump(told), encoding="utf-8")
        return {**empty_home(self.home), "TAO_INCLUDE": str(include), "PYTHONUNBUFFERED": "1"}

    def _days(self, url: str) -> tuple[list[Answer], float]:
        users, day, apart = Users(url, self.seed), 60.0 * self.minutes, 60.0 * self.minutes / self.queries
        began = (time.time() // day + 1) * day
        print(f"the first day begins in {began - time.time():.0f} s; a day has {self.minutes} minutes", flush=True)
        answers: list[Answer] = []
        waiting = True
        for number in range((self.days + 2) * self.queries):
            time.sleep(max(0.0, began + number * apart - time.time()))
            if waiting and time.time() > began + day:
                # Before, the scheduler would begin with a day that nobody asked in.
                _unpause(self.home)
                waiting = False
            answers.append(users.ask(NAME))
            if (number + 1) % 25 == 0:
                last = [one for one in answers[-25:] if one.right is not None]
                right = sum(bool(one.right) for one in last)
                print(
                    f"day {number / self.queries + 1:.2f}: {right} of the last {len(last)} right,"
                    f" version {answers[-1].version}",
                    flush=True,
                )
        return answers, began

    def _told(self, answers: list[Answer], began: float, mixed: int) -> dict[str, Any]:
        day, good = 60.0 * self.minutes, [one for one in answers if one.right is not None]
        by_day = [[one for one in good if int((one.at - began) // day) == number] for number in range(self.days + 2)]
        with database(self._settings()) as url, connect(url) as connection:
            history = record.events(connection, NAME)
        decided = Counter(event.kind for event in history)
        return {
            "minutes": self.minutes,
            "began": began,
            "answered": len(good),
            "failed": len(answers) - len(good),
            "errors": sorted({one.error for one in answers if one.error}),
            "mixed": mixed,
            "captured": _captured(self.home),
            "right": [sum(bool(one.right) for one in mine) / max(1, len(mine)) for mine in by_day],
            "asked": [len(mine) for mine in by_day],
            "versions": dict(sorted(Counter(str(one.version) for one in good).items())),
            "turns": decided[EventKind.REGISTERED],
            "promotions": decided[EventKind.PROMOTE],
            "events": [event.as_dict() for event in history],
            "answers": as_rows(answers),
        }

    def _settings(self) -> Settings:
        here = self.home
        return replace(Settings.from_env(), home=here, lake=str(here / "lake"), database_url=None)


@contextmanager
def _airflow(env: dict[str, str]) -> Iterator[None]:
    subprocess.run(tao_command("local", "up"), env=env, check=True, timeout=START_S)
    try:
        yield
    finally:
        subprocess.run(tao_command("local", "down"), env=env, check=True, timeout=START_S)


@contextmanager
def _server(env: dict[str, str]) -> Iterator[str]:
    """``tao serve`` until its champion answers; its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    process = Process(tao_command("serve", NAME, "--port", url.rsplit(":", 1)[1]), env=env)
    follower = threading.Thread(target=process.follow, args=(lambda line: print(f"  serve: {line}", flush=True),))
    follower.start()
    try:
        deadline = time.monotonic() + READY_S
        while not _is_ready(url):
            if time.monotonic() > deadline or not follower.is_alive():
                raise RuntimeError("the server did not become ready")
            time.sleep(1)
        yield url
    finally:
        process.stop(STOP_S)
        follower.join(STOP_S)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _mixed(url: str) -> int:
    """Answers that the server saw begin with one model and end with another."""
    told = httpx.get(f"{url}/metrics", timeout=30, trust_env=False).text
    found = [line.split()[-1] for line in told.splitlines() if line.startswith("tao_mixed_total")]
    return int(sum(float(value) for value in found))


def _unpause(home: Path) -> None:
    services = recorded(home)
    assert services is not None
    with services.client() as client:
        client.unpause(f"flywheel_{NAME}")


def _captured(home: Path) -> int:
    """Answers in the segments, each request once."""
    ids = set()
    for path in (home / "captured" / NAME).rglob("*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            if told.get("response"):
                ids.add(told["request_id"])
    return len(ids)
