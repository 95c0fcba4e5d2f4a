"""Figures on their way to MLflow, from a thread of their own: training waits for none of it."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event, Lock, Thread

from tao_ops.files import read_json, write_json
from tao_ops.mlflow_points import Point
from tao_ops.mlflow_versions import MlflowVersions
from tao_ops.records import Progress

RUN = "mlflow_run.json"
"""Names the MLflow run of a training: the retry goes on in it, and the version gets it."""
_EVERY, _AGAIN, _PATIENCE = 3.0, 60.0, 60.0
"""Seconds between two batches, until the next try after a failure, and until silence is said to be a failure."""
_AT_END = 60.0
"""Longest wait, in seconds, when training is over."""


def run_of(folder: Path) -> str | None:
    """The MLflow run of the training in ``folder``, if one was made."""
    return str(read_json(folder / RUN)["run"]) if (folder / RUN).is_file() else None


class Live:
    """One training's curves in MLflow as it goes; what does not arrive is sent when the version is registered.

    Args:
        folder: of the run's artifacts, where the MLflow run is named.
        anew: whether it gets another MLflow run than the one that is named there.
    """

    def __init__(
        self,
        versions: MlflowVersions,
        folder: Path,
        flywheel: str,
        tags: Mapping[str, str],
        say: Progress,
        *,
        anew: bool = False,
    ) -> None:
        self._versions, self._path, self._flywheel, self._tags, self._say = versions, folder / RUN, flywheel, tags, say
        self._before, self._anew = run_of(folder), anew
        self._run: str | None = None
        self._waiting: list[Point] = []
        self._lock, self._closing, self._done = Lock(), Event(), Event()
        self._asked: float | None = None
        self._complained = False
        self._end: tuple[str, Sequence[Path]] = ("FINISHED", ())
        # A daemon: a server that never answers must not keep the process from ending.
        self._thread = Thread(target=self._work, name="mlflow", daemon=True)
        self._thread.start()

    def put(self, points: Sequence[Point]) -> None:
        """Take points; returns at once."""
        with self._lock:
            self._waiting += points
        asked = self._asked
        if asked is not None and time.monotonic() - asked > _PATIENCE:
            self._complain("it does not answer")

    def close(self, status: str, pictures: Sequence[Path] = ()) -> None:
        """Send what is left, and end the MLflow run as ``status``; waits for a minute at most."""
        self._end = (status, pictures)
        self._closing.set()
        if not self._done.wait(_AT_END):
            self._complain("it does not answer")

    def _work(self) -> None:
        pause = 0.0
        while not self._closing.wait(pause):
            pause = _EVERY if self._try(last=False) else _AGAIN
        self._try(last=True)
        self._done.set()

    def _try(self, *, last: bool) -> bool:
        with self._lock:
            points, self._waiting = self._waiting, []
        self._asked = time.monotonic()
        try:
            if self._run is None:
                self._run = self._versions.begin(self._flywheel, self._tags, run=self._before, anew=self._anew)
                write_json(self._path, {"run": self._run})
            self._versions.log(self._run, points)
            if last:
                self._versions.end(self._run, *self._end)
        except Exception as error:  # Whatever it is, hours of training are worth more than their picture.
            with self._lock:
                self._waiting = points + self._waiting
            self._complain(str(error) or repr(error))
            return False
        finally:
            self._asked = None
        if self._complained:
            self._complained = False
            self._say("MLflow answers again, and has all figures")
        return True

    def _complain(self, why: str) -> None:
        if not self._complained:
            self._complained = True
            self._say(
                f"no live figures in MLflow: {' '.join(why.split())}; they are kept in training.jsonl, and MLflow gets "
                "them when the version is registered"
            )
