"""Exams: one arm on one benchmark, what identifies its scores, and which scores are stored already."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tao_ops import prompts, strategies
from tao_ops.benchmarks.item_sets import ItemSet
from tao_ops.config import BenchmarkConfig, BenchmarkFormat, Flywheel
from tao_ops.errors import DataError
from tao_ops.evaluating import duels
from tao_ops.lake import Lake
from tao_ops.records import Message, ModelRef, Prompt
from tao_ops.scoring import marks
from tao_ops.tables import EVALUATIONS
from tao_ops.turn import Turn

CHAMPION, CONTROL, CANDIDATE = "champion", "control", "candidate"


@dataclass(frozen=True)
class Exam:
    """One arm on one benchmark.

    Attributes:
        version: of the items and of what scores them; of a holdout, of the two models that are compared, too.
        conversations: what is asked, in the items' order; none where the harness asks by its own prompts.
    """

    arm: str
    model: ModelRef
    task: str
    benchmark: BenchmarkConfig
    items: ItemSet
    version: str
    prompt_digest: str
    max_tokens: int
    conversations: Sequence[Sequence[Message]]

    @property
    def by_harness(self) -> bool:
        """Whether the harness asks and scores."""
        return self.benchmark.format is BenchmarkFormat.HARNESS

    @property
    def is_duel(self) -> bool:
        """Whether the scores are of this pair of models alone."""
        return self.benchmark.format is BenchmarkFormat.HOLDOUT

    def identity(self, engine: str) -> dict[str, str]:
        """A stored score is this exam's only if all of these agree."""
        return {
            "model_version": self.model.model_version,
            "prompt_digest": self.prompt_digest,
            "decoding_digest": decoding_digest(self.max_tokens),
            "engine": engine,
            "benchmark": self.benchmark.name,
            "benchmark_version": self.version,
        }


@dataclass(frozen=True)
class Arms:
    """The two models, as every benchmark asks them."""

    champion: ModelRef
    candidate: ModelRef


def decoding_digest(max_tokens: int) -> str:
    """Names greedy decoding with a limit of ``max_tokens``."""
    return hashlib.sha256(json.dumps({"temperature": 0, "max_tokens": max_tokens}).encode()).hexdigest()[:16]


def exams(flywheel: Flywheel, lake: Lake, turn: Turn, arms: Arms) -> list[Exam]:
    """Every arm on every benchmark of every task.

    Raises:
        ConfigError: a benchmark cannot be read.
        DataError: a holdout has no prompts.
    """
    return [
        exam
        for task, config in flywheel.tasks.items()
        for benchmark in config.benchmarks
        for exam in _of(flywheel, lake, turn, arms, task, benchmark)
    ]


def stored(lake: Lake, flywheel: str, exam: Exam, engine: str) -> list[dict[str, Any]]:
    """The exam's rows where all of its scores are stored, whichever arm earned them; else none.

    Scores of a release that did not count tokens are not enough for champion and candidate: the gate compares those.
    """
    where: dict[str, Any] = dict(exam.identity(engine))
    rows = lake.read(EVALUATIONS, flywheel=flywheel, **where).to_pylist()
    if exam.arm != CONTROL and not exam.by_harness:
        rows = [row for row in rows if row["tokens"] is not None]
    by_item = {row["item_id"]: row for row in sorted(rows, key=lambda row: str(row["turn"]))}
    if set(by_item) != {item.item_id for item in exam.items.items}:
        return []
    return [{**by_item[item.item_id], "arm": exam.arm} for item in exam.items.items]


def see_unchanged(flywheel: Flywheel, every: Sequence[Exam]) -> None:
    """See that no benchmark has changed while it was answered: its arms would have had other questions.

    Raises:
        DataError: one has.
    """
    for exam in every:
        if exam.arm != CANDIDATE or exam.is_duel:
            continue
        now = marks.version(exam.benchmark, flywheel.file)
        if now != exam.version or not now.startswith(exam.items.version):
            raise DataError(
                f"benchmark {exam.benchmark.name} changed while it was answered",
                where=exam.benchmark.path,
                mend="leave it alone while a turn runs, and run evaluate again",
            )


def _of(flywheel: Flywheel, lake: Lake, turn: Turn, arms: Arms, task: str, benchmark: BenchmarkConfig) -> list[Exam]:
    prompt, longest = flywheel.prompt(task), flywheel.tasks[task].max_tokens
    plain = prompts.digest(prompt)
    both = ((CHAMPION, arms.champion), (CANDIDATE, arms.candidate))
    if benchmark.format is BenchmarkFormat.HOLDOUT:
        items = duels.items(lake, turn, task, benchmark)
        version = duels.version(benchmark, items, arms.champion, arms.candidate, flywheel.file(""))
    else:
        items, version = marks.asked(benchmark, flywheel.file), marks.version(benchmark, flywheel.file)
    if benchmark.format is BenchmarkFormat.HARNESS:
        return [Exam(arm, model, task, benchmark, items, version, plain, longest, ()) for arm, model in both]
    if benchmark.format is not BenchmarkFormat.HOLDOUT:
        marks.check(benchmark, items, flywheel.file)
    asked = [prompts.production(prompt, item.messages) for item in items.items]
    found = [Exam(arm, model, task, benchmark, items, version, plain, longest, asked) for arm, model in both]
    control = flywheel.evaluate.control
    if control is not None and benchmark.format is not BenchmarkFormat.HOLDOUT:
        # A seed of the flywheel alone: the control's prompt is the same in every turn, so its scores are reused.
        strategy = strategies.build(flywheel, task, seed=flywheel.seed)[control]
        digest = prompts.digest(f"{strategy.version} {flywheel.seed}")
        asked_so = [Prompt(item.item_id, task, tuple(item.messages)) for item in items.items]
        messages = [strategy.conversation(one, 0, ()) for one in asked_so]
        found.append(Exam(CONTROL, arms.champion, task, benchmark, items, version, digest, longest, messages))
    return found
