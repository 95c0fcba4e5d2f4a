"""``tao serve``: the parts put together, and their life from the first byte to the last."""

import asyncio
import secrets
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

import uvicorn

from tao_ops.database import database
from tao_ops.serve.access import Access
from tao_ops.serve.canary.counting import Counting
from tao_ops.serve.canary.shadow import Shadow
from tao_ops.serve.canary.watch import Watch
from tao_ops.serve.capture.middleware import Capture
from tao_ops.serve.capture.setup import Setup
from tao_ops.serve.desk import Desk
from tao_ops.serve.engines import Engine, Spec
from tao_ops.serve.feedback import Feedback
from tao_ops.serve.front import Front
from tao_ops.serve.lanes import Lanes
from tao_ops.serve.metrics import Metrics
from tao_ops.serve.plan import BACKLOG, Plan, example, start_lines
from tao_ops.serve.prompting import Prompting
from tao_ops.serve.proxy import Proxy
from tao_ops.serve.reconcile import Identity, Reconciler
from tao_ops.serve.request_ids import RequestIds
from tao_ops.serve.state import server_folder
from tao_ops.serve.trimming import Trimmed
from tao_ops.settings import Settings

FLUSH_S = 20.0
"""Longest time for what is captured and not written yet, when the server ends."""
_KEEP_ALIVE_S = 30
_LOOK_S = 0.2


def serve(planned: Plan) -> None:
    """Serve until SIGTERM or SIGINT, and end in order: let requests end, write what was captured, stop the engines.

    Raises:
        TaoError: the database cannot be used, or the server failed.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(planned))


async def _serve(planned: Plan) -> None:
    await Server(planned).run()


class Server:
    """One server, see :func:`serve`; made in its event loop."""

    def __init__(self, planned: Plan) -> None:
        self._plan, serve_config = planned, planned.flywheel.serve
        self.lanes, self.metrics, self._upkeep = Lanes(), Metrics(), _Upkeep()
        self.capture: Capture | None = None
        limits, ids = serve_config.limits, RequestIds(planned.settings.require_hash_key())
        self._proxy = Proxy(self.lanes, ids, self.metrics, seconds=limits.seconds)
        prompting, self._counting = Prompting(planned.flywheel), Counting(planned.flywheel)
        self._shadow = Shadow(self.lanes, prompting, self._counting, seconds=limits.seconds)
        setup = Setup.of_flywheel(planned.flywheel, planned.settings, planned.server)
        front = Front(
            prompting=prompting,
            lanes=self.lanes,
            proxy=self._proxy,
            metrics=self.metrics,
            upkeep=self._upkeep,
            most=serve_config.batch,
            feedback=Feedback(ids, None if setup is None else self._feedback),
            created=int(time.time()),
        )
        if setup is not None:
            self.capture = Capture(front, setup, observers=[self._counting, self._shadow], wanted=self._canary_runs)
        self.app = Access(
            Trimmed(front if self.capture is None else self.capture),
            keys=planned.keys,
            limits=limits,
            ids=ids,
            metrics=self.metrics,
        )
        self._tell_metrics()

    async def run(self) -> None:
        """All of it, until a signal."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._proxy.close)
            await stack.enter_async_context(self._capturing())
            listener = _Listener(self._config())
            listening = asyncio.create_task(listener.serve(sockets=[self._plan.listening]))
            keeping = asyncio.create_task(self._keep())
            telling = asyncio.create_task(self._tell())
            try:
                await asyncio.wait((listening, keeping), return_when=asyncio.FIRST_COMPLETED)
            finally:
                # First the requests, which the engines answer; then the engines.
                listener.should_exit = True
                await asyncio.gather(listening, return_exceptions=True)
                await self._shadow.close()
                await _ended(telling)
                await _ended(keeping)
            listening.result()
            if not keeping.cancelled():
                keeping.result()
        self._plan.say("stopped")

    def _config(self) -> uvicorn.Config:
        return uvicorn.Config(
            self.app,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=int(self._plan.flywheel.serve.drain.total_seconds()) or 1,
        )

    @asynccontextmanager
    async def _capturing(self) -> AsyncIterator[None]:
        capture = self.capture
        if capture is None:
            yield
            return
        await asyncio.to_thread(capture.start)
        try:
            yield
        finally:
            if not await asyncio.to_thread(capture.close, FLUSH_S):
                self._plan.say(f"error: not all that was captured could be written: {dict(capture.counts())}")

    async def _keep(self) -> None:
        """The database, and what follows it: the lanes, the canary's counts."""
        planned = self._plan
        async with _database(planned.settings) as url:
            reconciler = self._reconciler(url)
            self._upkeep.found = reconciler
            name = f"{planned.server}-{secrets.token_hex(4)}"
            tasks = [
                asyncio.create_task(reconciler.run()),
                asyncio.create_task(Watch(url, name, self._counting).run()),
                asyncio.create_task(self._follow_canary()),
            ]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    await _ended(task)
                await asyncio.to_thread(self._counting.close)
            for task in tasks:
                if not task.cancelled():
                    task.result()

    def _reconciler(self, url: str) -> Reconciler:
        planned, config = self._plan, self._plan.flywheel.serve
        folder = server_folder(planned.settings.home, planned.server)
        name = planned.flywheel.name
        spec = Spec(name, folder, planned.flywheel.engine, config.batch, planned.flywheel.seed, planned.command)
        return Reconciler(
            Identity(planned.server, name, planned.url, folder),
            self.lanes,
            Desk(name, url),
            lambda served, label: Engine(spec, served, label=label, say=planned.say),
            drain_s=config.drain.total_seconds(),
            request_s=config.limits.seconds,
            say=planned.say,
        )

    async def _follow_canary(self) -> None:
        while True:
            self._counting.follow(self.lanes.canary)
            await asyncio.sleep(_LOOK_S)

    async def _tell(self) -> None:
        """What a person reads at the start, and once there is an answer."""
        planned, began = self._plan, time.monotonic()
        for line in start_lines(planned, None if self.capture is None else self.capture.setup.folder):
            planned.say(line)
        while self.lanes.champion is None:
            await asyncio.sleep(_LOOK_S)
        served = self.lanes.champion.served
        told = f"ready after {time.monotonic() - began:.0f} s: version {served.version} ({served.model_version})"
        planned.say(f"{told}; ask it: {example(planned)}")

    def _feedback(self, request_id: str, *, feedback: str | None, corrected: str | None) -> bool:
        assert self.capture is not None
        return self.capture.write_feedback(request_id, feedback=feedback, corrected=corrected)

    def _canary_runs(self) -> bool:
        return self.lanes.canary is not None

    def _tell_metrics(self) -> None:
        self.metrics.count(
            "tao_swaps", "Changes of the champion's weights, by what came of them.", "result", self._upkeep.swaps
        )
        shadow = self._shadow
        self.metrics.count(
            "tao_shadow",
            "Copies of requests for a canary's candidate.",
            "result",
            lambda: {"asked": shadow.asked, "dropped": shadow.dropped},
        )
        if (capture := self.capture) is not None:
            meaning = "What came of requests and feedback that were to be written; see the docs."
            self.metrics.count("tao_capture", meaning, "what", lambda: dict(capture.counts()))


class _Upkeep:
    """The reconciler, once there is a database."""

    found: Reconciler | None = None

    @property
    def waiting_for(self) -> str | None:
        return "the database" if self.found is None else self.found.waiting_for

    def status(self) -> dict[str, Any]:
        return {"waiting_for": self.waiting_for} if self.found is None else self.found.status()

    async def reconcile(self) -> dict[str, Any]:
        return self.status() if self.found is None else await self.found.reconcile()

    def swaps(self) -> dict[str, float]:
        return {} if self.found is None else {"taken": self.found.swaps, "put_off": self.found.put_off}


class _Listener(uvicorn.Server):
    """Ends in order at a signal, and is not killed by it afterwards; a second SIGINT ends it at once."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            # Those that come later find the end under way already.
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, lambda: None)


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[str]:
    """:func:`tao_ops.database.database`, whose embedded server takes seconds to start."""
    context = database(settings)
    entering = asyncio.ensure_future(asyncio.to_thread(context.__enter__))
    try:
        yield await asyncio.shield(entering)
    finally:
        # Told to end while it starts: the thread starts it all the same, and it would outlive this process.
        await asyncio.wait([entering])
        if entering.exception() is None:
            await asyncio.to_thread(context.__exit__, None, None, None)


async def _ended(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):  # its own error is looked at by who started it
        await task


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
