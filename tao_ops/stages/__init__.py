"""The eight stages of a turn, and the one way to run them: leased, recorded, reported."""

import importlib
from dataclasses import dataclass, field
from enum import StrEnum

from tao_ops.config import Flywheel
from tao_ops.lake import Lake
from tao_ops.records import Progress
from tao_ops.settings import Settings
from tao_ops.turn import Turn


class Stage(StrEnum):
    """The stages in their order; each is a module here, a task, and a command of ``tao``."""

    INGEST = "ingest"
    """Query logs of the interval → ``queries``, redacted."""
    VALIDATE = "validate"
    """``queries`` → ``prompts``: clean, deduplicated, split."""
    GENERATE = "generate"
    """``prompts`` → ``responses`` of the champion, explored."""
    SCORE = "score"
    """``responses`` → ``rewards``, without labels."""
    UPDATE = "update"
    """``prompts``, ``responses``, ``rewards`` → a candidate model."""
    EVALUATE = "evaluate"
    """Champion, control and candidate on the same benchmark items → ``evaluations``, a report."""
    GATE = "gate"
    """The report → a verdict."""
    REGISTER = "register"
    """Candidate and verdict → a version; the champion moves only on promote."""


SHARDED = (Stage.GENERATE, Stage.SCORE)
"""Stages that run once per shard."""


@dataclass(frozen=True)
class Run:
    """One attempt at a turn: what every stage is given."""

    flywheel: Flywheel
    turn: Turn
    run_id: str
    lake: Lake
    settings: Settings
    database_url: str
    shard: int = 0
    keep_turn: bool = False
    """After a stage that ended well, the turn stays this run's for a while: its next stage is another process."""
    say: Progress = field(default=print)
    """Writes one line of the log."""


def module(stage: Stage) -> object:
    """The stage's module, imported only now: stages may bring heavy libraries along."""
    return importlib.import_module(f"tao_ops.stages.{stage.value}")
