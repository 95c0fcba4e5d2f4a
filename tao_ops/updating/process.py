"""Training in this process, or in several under ``accelerate launch``: to the stage it is the same."""

import os
import re
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tao_ops.backends import trl_trainer
from tao_ops.backends.trl_trainer.job import Job, Rewarder, Sink
from tao_ops.errors import EngineError, TaoError
from tao_ops.records import Progress
from tao_ops.updating import wire
from tao_ops.updating.launching import GRACE_S, configuration, launched

SILENT_S = 2 * 3600.0
"""Processes that say nothing for so long are ended; a collective that one of them has left gives up long before."""
_TAIL = 40
_FAILED = re.compile(r"failed \(exitcode: (?P<code>-?\d+)\) local_rank: (?P<rank>\d+)")
"""How torchrun, which ``accelerate launch`` runs, says which of its processes failed first."""
_TORCHRUN = "torch/distributed/elastic/"


def train(
    job: Job,
    rewarder: Rewarder,
    *,
    accelerate: Path | None = None,
    say: Progress = print,
    sink: Sink = lambda step, figures: None,
) -> dict[str, Any]:
    """``trl_trainer.train``; in the processes of the configuration ``accelerate``, where one is given.

    They are of this machine. Each has ``update.batch_size`` rows a step of its own. The scorers, and the models that
    they ask, stay in this process, and are asked by the others: a judge that has a model of its own shares the first
    GPU with the training's first process.

    A process that dies takes the others with it, and all of them end with this one; nothing of theirs but the
    checkpoints is left.

    Raises:
        ConfigError: the configuration cannot be used.
        EngineError: one of the processes died, or all went silent.
        TaoError: what ``trl_trainer.train`` raises.
    """
    if accelerate is None:
        return trl_trainer.train(job, rewarder, say=say, sink=sink)
    config = configuration(accelerate)
    say(f"{accelerate.name}: training in {config['num_processes']} processes")
    with tempfile.TemporaryDirectory(prefix="tao-") as folder:
        address = str(Path(folder) / "stage")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(address)
            server.listen()
            with launched(accelerate, config, address) as launcher:
                return _Training(job, rewarder, say, sink, launcher, server, config["num_processes"]).followed()


class _Training:
    """The processes of one training, served until they have ended."""

    def __init__(
        self,
        job: Job,
        rewarder: Rewarder,
        say: Progress,
        sink: Sink,
        launcher: "subprocess.Popen[bytes]",
        server: socket.socket,
        processes: int,
    ) -> None:
        assert launcher.stdout is not None
        self._job, self._rewarder, self._say, self._sink = job, rewarder, say, sink
        self._launcher, self._output, self._server = launcher, launcher.stdout.fileno(), server
        self._processes = processes
        self._ranks: dict[Connection, int] = {}
        self._metrics: dict[int, dict[str, Any]] = {}
        self._error: TaoError | None = None
        self._ending = False
        self._dead: tuple[int, int] | None = None
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._rest = b""
        self._deadline = time.monotonic() + SILENT_S

    def followed(self) -> dict[str, Any]:
        """Serve them to their end; what the first one made of it."""
        try:
            while self._launcher.poll() is None and time.monotonic() < self._deadline:
                self._serve(seconds=0.5)
            self._serve(seconds=0.0)
        finally:
            for connection in self._ranks:
                connection.close()
        if len(self._metrics) == self._processes:
            return self._metrics[0]
        raise self._failure()

    def _serve(self, *, seconds: float) -> None:
        """What is there to be read, or comes within ``seconds``."""
        waiting: list[Any] = [self._server, self._output, *self._ranks]
        readable = select.select(waiting, [], [], seconds)[0]
        for one in readable:
            if one is self._server:
                self._ranks[Connection(self._server.accept()[0].detach())] = -1
            elif one == self._output:
                self._read_output()
            else:
                self._read(one)
        if readable and not self._ending:
            self._deadline = time.monotonic() + SILENT_S  # from now: the scorers may have taken long

    def _read_output(self) -> None:
        """What they print themselves: warnings of libraries, and how one ended that was not told."""
        chunk = os.read(self._output, 65536)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            text = line.decode(errors="replace").rstrip()
            if found := _FAILED.search(text):
                self._dead = int(found["rank"]), int(found["code"])
            # What torchrun says of it then, many lines of its own, tells nobody more.
            elif text and self._dead is None and _TORCHRUN not in text:
                self._tail.append(text)
                self._say(text)
        if not chunk:
            time.sleep(0.1)  # closed: only its end is left to be waited for

    def _read(self, connection: Connection) -> None:
        try:
            told = wire.receive(connection)
        except (EOFError, OSError):
            del self._ranks[connection]
            connection.close()
            self._soon()
        else:
            self._take(connection, told)

    def _take(self, connection: Connection, told: Mapping[str, Any]) -> None:
        match told:
            case {"rank": int(rank)}:
                self._ranks[connection] = rank
                self._answer(connection, job=wire.job_as_dict(self._job))
            case {"questions": questions, "texts": texts}:
                rewards = self._rewarder(wire.questions_from_dicts(questions), texts)
                self._answer(connection, rewards=rewards)
            case {"say": line}:
                self._say(line)
            case {"step": step, "figures": figures}:
                self._sink(step, figures)
            case {"error": error}:
                self._error = self._error or wire.error_from_dict(error)
                self._soon()
            case {"metrics": metrics}:
                self._metrics[self._ranks[connection]] = dict(metrics)
                if len(self._metrics) == self._processes:
                    for one in self._ranks:
                        self._answer(one, over=True)
                    self._soon()

    def _answer(self, connection: Connection, **told: Any) -> None:
        with suppress(OSError):  # it died: that is read from its connection
            wire.send(connection, **told)

    def _soon(self) -> None:
        """All of it ends within the grace."""
        if not self._ending:
            self._ending, self._deadline = True, time.monotonic() + GRACE_S

    def _failure(self) -> TaoError:
        """Why there are no metrics. A killed process comes first: what the others say is that they miss it."""
        rank, code = self._dead or (-1, 0)
        if self._error is not None and (code >= 0 or code == -signal.SIGTERM):
            return self._error
        every = self._processes
        if code < 0:
            what = f"process {rank} of the training's {every} was killed by {signal.Signals(-code).name}"
        elif code > 0:
            what = f"process {rank} of the training's {every} ended with {code}"
        elif self._launcher.poll() is None:
            what = f"the training's {every} processes said nothing for {SILENT_S / 3600:.0f} hours"
        else:
            what = f"accelerate launch ended with {self._launcher.returncode}"
        last = " | ".join(list(self._tail)[-3:]) if code >= 0 else ""
        return EngineError(
            f"{what}: {last}" if last else what,
            where=self._job.config.accelerate,
            mend="the stage's output says more; run again, it goes on from the last checkpoint",
        )
