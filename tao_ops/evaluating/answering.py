"""Answers: one engine asks all exams that have no scores yet, its weights swapped where the model changes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tao_ops.backends import Engine
from tao_ops.benchmarks.reports import EMPTY, REPEATED, TRUNCATED
from tao_ops.config import Flywheel, RepetitionConfig, ScorerConfig
from tao_ops.errors import ConfigError, DataError
from tao_ops.evaluating import duels
from tao_ops.evaluating.exams import CANDIDATE, CHAMPION, Exam
from tao_ops.evaluating.one_engine import OneEngine
from tao_ops.records import Candidate, Completion, Progress, Sampling
from tao_ops.rewards import Models
from tao_ops.rewards.flags import repetition
from tao_ops.scoring import marks
from tao_ops.scoring.harness import run_harness


@dataclass
class Answers:
    """What came of all exams that were asked.

    Attributes:
        rows: of the table ``evaluations``, without ``reward``.
        tokens: that were sampled.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    tokens: int = 0


@dataclass(frozen=True)
class Asker:
    """Asks and scores exams.

    Attributes:
        engine: started when something is to be asked.
        models: those that a benchmark's judge asks.
    """

    flywheel: Flywheel
    engine: OneEngine
    models: Models
    say: Progress

    def ask(self, exams: Sequence[Exam]) -> Answers:
        """Ask all exams, the candidate's last; the holdout's answers are judged once both arms have answered.

        Raises:
            ConfigError: an item does not fit into the engine's context.
            DataError: a score is no number from 0 to 1, or a judge gave too few verdicts.
            EngineError: the engine failed.
        """
        found = Answers()
        duelling: dict[tuple[str, str], tuple[Exam, list[Completion]]] = {}
        for exam in sorted(exams, key=lambda exam: exam.arm == CANDIDATE):
            engine = self.engine.of(exam.model)
            if exam.by_harness:
                found.rows += self._by_harness(exam, engine)
                continue
            completions = self._completions(exam, engine)
            found.tokens += sum(one.tokens for one in completions)
            if exam.is_duel:
                duelling[exam.benchmark.name, exam.arm] = (exam, completions)
                continue
            outputs = [one.text for one in completions]
            scores = marks.scores(exam.benchmark, exam.items, outputs, self.models, self.flywheel.file)
            found.rows += self._rows(exam, engine.name, completions, scores)
        for name in dict.fromkeys(name for name, _ in duelling):
            found.rows += self._duel(duelling[name, CHAMPION], duelling[name, CANDIDATE], engine.name)
        return found

    def _completions(self, exam: Exam, engine: Engine) -> list[Completion]:
        self.say(f"{exam.arm} on {exam.benchmark.name}: {len(exam.items.items)} items")
        answers = engine.generate(exam.conversations, Sampling(max_tokens=exam.max_tokens))
        for item, completions in zip(exam.items.items, answers, strict=True):
            if not completions:
                raise ConfigError(
                    f"an item of {exam.benchmark.name} does not fit into {engine.max_model_len} tokens as {exam.arm}",
                    where=item.item_id,
                    mend="raise engine.context, or take the item out",
                )
        return [completions[0] for completions in answers]

    def _by_harness(self, exam: Exam, engine: Engine) -> list[dict[str, Any]]:
        """The harness asks by its own prompts: what it says is scored by it alone, and has no flags."""
        self.say(f"{exam.arm} on {exam.benchmark.name}: task {exam.benchmark.harness} of lm-evaluation-harness")
        items, scores, outputs = run_harness(exam.benchmark, self.flywheel.file, engine, say=self.say)
        return [
            {**_row(exam, engine.name, item.item_id, score), "output": output}
            for item, output, score in zip(items.items, outputs, scores, strict=True)
        ]

    def _rows(
        self, exam: Exam, engine: str, completions: Sequence[Completion], scores: Sequence[float]
    ) -> list[dict[str, Any]]:
        told = flags(self.flywheel.tasks[exam.task].scorers, completions)
        return [
            {
                **_row(exam, engine, item.item_id, score),
                # Of a query of a user nothing is kept that an erasure would not find.
                "output": None if exam.is_duel else one.text,
                "text": one.text,
                "tokens": one.tokens,
                "flags": list(mine),
            }
            for item, one, score, mine in zip(exam.items.items, completions, scores, told, strict=True)
        ]

    def _duel(
        self, champion: tuple[Exam, list[Completion]], candidate: tuple[Exam, list[Completion]], engine: str
    ) -> list[dict[str, Any]]:
        (exam, before), (_, after) = champion, candidate
        assert exam.benchmark.judge is not None
        self.say(f"{exam.benchmark.name}: {len(exam.items.items)} pairs of answers go to the judge, in both orders")
        include = self.flywheel.file("")
        texts = [[one.text for one in completions] for completions in (before, after)]
        won = duels.scores(exam.benchmark.judge, exam.items, texts[0], texts[1], self.models, include)
        rows = []
        for (one, completions), scores in ((champion, [1.0 - score for score in won]), (candidate, won)):
            rows += self._rows(one, engine, completions, scores)
        return rows


def flags(scorers: Sequence[ScorerConfig], completions: Sequence[Completion]) -> list[tuple[str, ...]]:
    """What is wrong with each output; repetition by the task's own rule, where it has one."""
    rule = next((one for one in scorers if isinstance(one, RepetitionConfig)), None)
    rule = rule or RepetitionConfig(kind="repetition", name="repetition")
    repeats = repetition.marks(rule, [Candidate("", "", one.text) for one in completions])
    found = []
    for one, repeated in zip(completions, repeats, strict=True):
        marked = {EMPTY: not one.text.strip(), TRUNCATED: one.finish_reason == "length", REPEATED: repeated}
        found.append(tuple(name for name, is_so in marked.items() if is_so))
    return found


def _row(exam: Exam, engine: str, item_id: str, score: float) -> dict[str, Any]:
    if not (math.isfinite(score) and 0 <= score <= 1):
        raise DataError(
            f"{exam.benchmark.scored_by} gave item {item_id} the score {score}, not a number from 0 to 1",
            where=exam.benchmark.name,
            mend="mend the scorer and run evaluate again",
        )
    return {**exam.identity(engine), "arm": exam.arm, "item_id": item_id, "score": score}
