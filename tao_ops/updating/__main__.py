"""One process of a training under ``accelerate launch``: ``python -m tao_ops.updating SOCKET``.

It is handed its job by the stage's process, asks it for the rewards, and tells it how training goes. It ends as soon
as that process is gone, whatever it is waiting for.
"""

import os
import queue
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Client, Connection
from typing import Any, NoReturn

from tao_ops.backends.trl_trainer.job import Question
from tao_ops.errors import TaoError
from tao_ops.updating import wire

_LEFT_ALONE = 70
"""Exit status where the stage's process is gone."""
_BEFORE_ENDING_S = 2.0
"""Many times what lies between two looks of the launcher's at its processes."""


class _Stage:
    """The stage's process, as a process of the training sees it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        """Answers as they come. The main thread may be in a collective that others will never join: it is not asked."""
        try:
            while True:
                self._answers.put(wire.receive(self._connection))
        except (EOFError, OSError):
            os._exit(_LEFT_ALONE)

    def answer(self) -> dict[str, Any]:
        """The stage's next message."""
        return self._answers.get()

    def tell(self, **told: Any) -> None:
        """One message to the stage."""
        try:
            wire.send(self._connection, **told)
        except OSError:
            os._exit(_LEFT_ALONE)

    def rewards(self, questions: Sequence[Question], texts: Sequence[str]) -> list[float | None]:
        """A ``Rewarder``: the stage's own."""
        self.tell(questions=wire.questions_as_dicts(questions), texts=list(texts))
        rewards: list[float | None] = self.answer()["rewards"]
        return rewards

    def say(self, line: str) -> None:
        """A ``Progress``."""
        self.tell(say=line)

    def sink(self, step: int, figures: Mapping[str, float]) -> None:
        """A ``Sink``."""
        self.tell(step=step, figures=dict(figures))


def main(address: str) -> None:
    """Train as one of several processes; an error that was raised on purpose is told to the stage."""
    rank = int(os.environ.get("RANK", "0"))
    stage = _Stage(_connection(address))
    stage.tell(rank=rank)
    job = wire.job_from_dict(stage.answer()["job"])

    from tao_ops.backends import trl_trainer

    try:
        if rank:
            metrics = trl_trainer.train(job, stage.rewards, say=lambda line: None)
        else:
            metrics = trl_trainer.train(job, stage.rewards, say=stage.say, sink=stage.sink)
    except TaoError as error:
        stage.tell(error=wire.error_as_dict(error))
        # The launcher names the first that ended: one that was killed, where this one only misses it.
        time.sleep(_BEFORE_ENDING_S)
        _exit(1)
    stage.tell(metrics=metrics)
    stage.answer()  # that all are done: the group is taken apart by all of its members at once
    from accelerate import PartialState

    PartialState().destroy_process_group()
    _exit(0)


def _connection(address: str) -> Connection:
    try:
        return Client(address, family="AF_UNIX")
    except OSError:
        os._exit(_LEFT_ALONE)


def _exit(code: int) -> NoReturn:
    """At once: the libraries would take many seconds to take themselves apart, while others wait in a collective."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1])
