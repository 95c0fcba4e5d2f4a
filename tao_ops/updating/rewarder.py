"""The flywheel's own scorers as the reward of what the model in training answers."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tao_ops.backends.trl_trainer.job import Question
from tao_ops.config import Flywheel, StrategyKind
from tao_ops.lake import Lake
from tao_ops.records import Candidate
from tao_ops.rewards import Models, Setting, TaskScorers
from tao_ops.scoring.calibrating import newest
from tao_ops.tables import TURNS
from tao_ops.turn import Turn


class FlywheelRewards:
    """Rewards as ``score`` gave them in this turn: the same scorers, calibrator and bars.

    Where several shards fitted a calibrator, the first one's; a scorer that any of them barred is barred. An answer
    counts as one of the strategy ``plain``, where the task has it: both answer the production prompt.

    Attributes:
        pools: by query, the answers that were found already: consensus counts them beside the new ones.

    Raises:
        ConfigError: a scorer cannot be built.
    """

    def __init__(
        self,
        lake: Lake,
        flywheel: Flywheel,
        turn: Turn,
        models: Models,
        pools: Mapping[str, Sequence[tuple[str, str]]],
    ) -> None:
        self._pools = pools
        self._scorers = {
            name: TaskScorers(task.scorers, Setting(flywheel.file(""), task.json_schema, models))
            for name, task in flywheel.tasks.items()
        }
        self._calibrators = {name: newest(lake, turn.flywheel, name, [turn.key]) for name in flywheel.tasks}
        self._barred = {name: _barred(lake, turn, name) for name in flywheel.tasks}
        self._plain = {
            name: next((one.name for one in task.strategies if one.kind is StrategyKind.PLAIN), "")
            for name, task in flywheel.tasks.items()
        }

    def __call__(self, questions: Sequence[Question], texts: Sequence[str]) -> list[float | None]:
        """Rewards in [0, 1], in order; None where no scorer could judge."""
        found: list[float | None] = [None] * len(texts)
        for task, scorers in self._scorers.items():
            mine = [i for i, question in enumerate(questions) if question.task == task]
            if not mine:
                continue
            batch = [_candidate(questions[i], texts[i], self._plain[task]) for i in mine]
            asked = {questions[i].query_id: questions[i] for i in mine}
            batch += [
                _candidate(question, text, strategy)
                for query_id, question in asked.items()
                for strategy, text in self._pools.get(query_id, ())
            ]
            # A few queries are no batch to look for a collapse in: update.watch.limits do that.
            scored = scorers.score(batch, calibrator=self._calibrators[task], barred=self._barred[task], guarded=False)
            for i, one in zip(mine, scored, strict=False):
                found[i] = one.reward
        return found


def _candidate(question: Question, text: str, strategy: str) -> Candidate:
    asked = [message["content"] for message in question.messages if message["role"] != "system"]
    return Candidate(question.query_id, asked[-1], text, strategy, context="\n\n".join(asked[:-1]))


def _barred(lake: Lake, turn: Turn, task: str) -> list[str]:
    where: dict[str, Any] = {"flywheel": turn.flywheel, "turn": turn.key, "stage": "score"}
    rows = lake.read(TURNS, columns=["metrics"], **where).to_pylist()
    return sorted({name for row in rows for name in json.loads(row["metrics"]).get("barred", {}).get(task, [])})
