"""Figures of the training as they come: to ``training.jsonl``, to MLflow, and at the end into a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

from tao_ops.backends.trl_trainer.job import Sink
from tao_ops.config import Flywheel, Method
from tao_ops.records import Progress
from tao_ops.registry import open_versions
from tao_ops.settings import Settings
from tao_ops.turn import Turn
from tao_ops.updating import journal, picture
from tao_ops.updating.live import Live

PICTURE = "training.png"


class Attempt(Protocol):
    """What of a stage's run the curves need."""

    @property
    def flywheel(self) -> Flywheel:
        """Whose model is trained, by which methods."""

    @property
    def turn(self) -> Turn:
        """The turn."""

    @property
    def run_id(self) -> str:
        """Who runs it."""

    @property
    def settings(self) -> Settings:
        """Where MLflow's documents are."""

    @property
    def database_url(self) -> str:
        """Where MLflow's database is."""

    @property
    def say(self) -> Progress:
        """Takes a line of the log."""


class Curves:
    """Takes the figures of each step, of one method after the other; to be used as a context.

    An attempt after one that was killed goes on in the same file and the same MLflow run: figures that come again as
    they were are not doubled. A training that begins anew, and goes otherwise, gets another MLflow run.

    Args:
        folder: of the run's artifacts.
    """

    def __init__(self, run: Attempt, folder: Path) -> None:
        self._run, self._folder = run, folder
        self._lines: list[journal.Line] = []
        self._before: dict[tuple[str, int, bool], journal.Line] = {}
        self._kept: dict[str, int] = {}
        self._axis = journal.Axis()
        self._begun: set[str] = set()
        self._file: IO[str] | None = None
        self._live: Live | None = None
        self._from_start = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None or self._live is None:
            return
        self._file.close()
        status = "FINISHED" if error is None else "FAILED" if isinstance(error, Exception) else "KILLED"
        self._live.close(status, self._drawn())

    def of(self, method: Method) -> Sink:
        """Takes the figures of ``method``'s steps, in their order; those of the holdout apart, named ``holdout_…``."""

        def sink(step: int, figures: Mapping[str, float]) -> None:
            self._take(journal.line(method.value, step, figures))

        return sink

    def kept(self, method: Method, step: int) -> None:
        """Mark in the picture the step whose checkpoint was kept."""
        self._kept[method.value] = step

    def _take(self, line: journal.Line) -> None:
        if self._file is None or self._live is None:
            self._open(line)
        elif line.method not in self._begun:
            self._go_on(line)
        assert self._file is not None and self._live is not None
        self._begun.add(line.method)
        before = self._before.pop(line.key, None)
        if before is not None and before.figures == line.figures:
            line = before  # with its time of then, it is the same point
        elif before is not None and self._from_start:
            self._from_start = False
            self._live.close("KILLED")
            self._live = self._go_live(anew=True)
        self._write([line])

    def _open(self, first: journal.Line) -> None:
        """Keep, of an earlier attempt, what comes before the first line of this one."""
        config = self._run.flywheel.update
        methods = [config.method.value, *([config.then] if config.then else [])]
        earlier = methods[: methods.index(first.method)]
        lines = journal.read(self._folder)
        self._before = {one.key: one for one in lines if one.method not in earlier}
        self._lines = [one for one in lines if one.method in earlier] + self._up_to(first)
        self._from_start = bool(lines) and not self._lines
        self._file = journal.begin(self._folder, self._lines)
        self._live = self._go_live(anew=self._from_start and first.key not in self._before)

    def _go_on(self, first: journal.Line) -> None:
        """Keep, of a further method, what an earlier attempt had of it before its first line of this one."""
        self._write(self._up_to(first))

    def _up_to(self, first: journal.Line) -> list[journal.Line]:
        """Take out of what there was before the lines of a method before ``first``."""
        kept = [
            one
            for one in self._before.values()
            if one.method == first.method and (one.step, one.on_holdout) < (first.step, first.on_holdout)
        ]
        for one in kept:
            del self._before[one.key]
        return kept

    def _write(self, lines: Sequence[journal.Line]) -> None:
        assert self._file is not None and self._live is not None
        self._file.write("".join(one.as_json() for one in lines))
        self._file.flush()
        self._lines += lines
        self._live.put(journal.points(lines, self._axis))

    def _go_live(self, *, anew: bool) -> Live:
        run = self._run
        versions = open_versions(run.database_url, run.settings)
        tags = {"tao.turn": run.turn.key, "tao.run_id": run.run_id}
        live = Live(versions, self._folder, run.flywheel.name, tags, run.say, anew=anew)
        self._axis = journal.Axis()
        live.put(journal.points(self._lines, self._axis))
        return live

    def _drawn(self) -> list[Path]:
        """The picture, if it could be drawn."""
        path = self._folder / PICTURE
        try:
            picture.draw(self._lines, path, kept=self._kept)
        except Exception as error:  # Whatever it is, a training is not lost for its picture.
            self._run.say(f"no picture of the training: {error}")
            return []
        self._run.say(f"curves of the training: {path}")
        return [path]
