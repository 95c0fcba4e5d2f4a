"""A front before a light engine, each on a port of its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tao_ops.config import Flywheel, load_flywheel
from tao_ops.config.serve import RequestLimits
from tao_ops.serve.access import Access
from tao_ops.serve.feedback import Feedback
from tao_ops.serve.front import Front
from tao_ops.serve.keys import Keys, keys_of_text
from tao_ops.serve.lanes import Lane, Lanes
from tao_ops.serve.metrics import Metrics
from tao_ops.serve.prompting import Prompting
from tao_ops.serve.proxy import Proxy
from tao_ops.serve.request_ids import RequestIds
from tao_ops.serve.trimming import Trimmed
from tao_ops.settings import PROJECT, Settings
from tests.tao_ops.serve.light_engine import LightEngine, Running, lane_of

ASK = {"model": "tickets", "messages": [{"role": "user", "content": "where is my blue lamp"}]}


class Waiting:
    """What keeps the lanes, in a test."""

    waiting_for: str | None = "the engine"

    def __init__(self) -> None:
        self.looked = 0

    def status(self) -> dict[str, Any]:
        return {"swaps": {}}

    async def reconcile(self) -> dict[str, Any]:
        self.looked += 1
        return {"looked": self.looked}


@dataclass
class Service:
    """A front that runs, and all that a test may want of it."""

    url: str
    running: Running
    lanes: Lanes
    metrics: Metrics
    ids: RequestIds
    logged: list[str]
    client: httpx.Client

    def ask(self, **fields: Any) -> httpx.Response:
        return self.client.post("/v1/chat/completions", json={**ASK, **fields})

    def error(self, response: httpx.Response) -> dict[str, Any]:
        """The error of a response, which has OpenAI's shape."""
        error: dict[str, Any] = response.json()["error"]
        assert set(error) == {"message", "type", "param", "code"} and error["message"]
        return error

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture(scope="session")
def tickets() -> Flywheel:
    return load_flywheel("tickets", Settings(PROJECT, PROJECT, "", None, PROJECT / "include", None))


@contextmanager
def front(
    flywheel: Flywheel,
    champion: Lane | None,
    *,
    keys: str = "",
    seconds: float = 30.0,
    restart_s: float = 5.0,
    body_s: float = 30.0,
    most: int = 4,
    **limits: Any,
) -> Iterator[Service]:
    """A front that runs; ``keys`` as in the environment's variable."""
    lanes, metrics, ids, logged = Lanes(champion), Metrics(), RequestIds(b"secret"), list[str]()
    proxy = Proxy(lanes, ids, metrics, seconds=seconds, restart_s=restart_s)
    inner = Front(Prompting(flywheel), lanes, proxy, metrics, Waiting(), most, Feedback(ids, None))
    known = Keys(None, keys_of_text(keys, "a test")) if keys else None
    app = Access(
        Trimmed(inner),
        keys=known,
        limits=RequestLimits(**{"requests_a_minute": 100_000, "burst": 10_000, **limits}),
        ids=ids,
        metrics=metrics,
        body_s=body_s,
        log=logged.append,
    )
    with Running(app) as running, httpx.Client(base_url=running.url, timeout=20) as client:
        yield Service(running.url, running, lanes, metrics, ids, logged, client)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A light engine is there again at once."""
    monkeypatch.setattr("tao_ops.serve.proxy._DYING_S", 0.1)


@pytest.fixture
def engine() -> LightEngine:
    return LightEngine()


@pytest.fixture
def engine_runs(engine: LightEngine) -> Iterator[Running]:
    with Running(engine) as running:
        yield running


@pytest.fixture
def open_front(tickets: Flywheel, engine: LightEngine, engine_runs: Running) -> Iterator[Callable[..., Service]]:
    """Makes a front before the engine."""
    with ExitStack() as stack:

        def make(flywheel: Flywheel = tickets, **options: Any) -> Service:
            return stack.enter_context(front(flywheel, lane_of(engine_runs, engine), **options))

        yield make


@pytest.fixture
def service(open_front: Callable[..., Service]) -> Service:
    return open_front()
