"""Responses of a turn to be labelled by hand: lines of a file of anchors, with the labels left open."""

import random
from collections import Counter, defaultdict
from typing import Any

from tao_ops import exam, splits
from tao_ops.config import Flywheel
from tao_ops.errors import ConfigError, MissingInput
from tao_ops.lake import Lake
from tao_ops.records import Split
from tao_ops.scoring.corrections import Said, comparison, said
from tao_ops.tables import PROMPTS, RESPONSES
from tao_ops.turn import Turn


def to_label(lake: Lake, flywheel: Flywheel, turn: Turn, *, task: str, queries: int, seed: int) -> list[dict[str, Any]]:
    """Queries of a turn, drawn at random, each with its different responses, the most frequent first.

    Training prompts only, and none that is near a benchmark or the holdout. Where users corrected an answer, what they
    say is right stands beside as the ``reference``; whether it is, the person says who labels.

    Raises:
        ConfigError: there is no such task.
        MissingInput: the turn has no responses to the task's prompts.
    """
    if task not in flywheel.tasks:
        known = ", ".join(flywheel.tasks)
        raise ConfigError(f"there is no task {task!r}", where=flywheel.name, mend=f"known tasks: {known}")
    where: dict[str, Any] = {"flywheel": turn.flywheel, "turn": turn.key}
    rows = lake.read(PROMPTS, task=task, split=Split.TRAIN.value, **where).to_pylist()
    train = {row["query_id"]: row for row in rows}
    away = exam.kept_away(lake, flywheel, turn, train)
    given: dict[str, Counter[str]] = defaultdict(Counter)
    for row in lake.read(RESPONSES, columns=["query_id", "answer"], **where).to_pylist():
        if row["query_id"] in train and row["query_id"] not in away and row["answer"]:
            given[row["query_id"]][row["answer"]] += 1
    if not given:
        raise MissingInput(f"no responses to prompts of {task!r}", where=turn.key, mend="run generate first")
    # By the texts: ids depend on an installation's key, and the same seed would draw otherwise elsewhere.
    order = sorted(given, key=lambda query_id: splits.messages_digest(train[query_id]["messages"]))
    drawn = random.Random(seed).sample(order, min(queries, len(order)))
    told = said(lake, comparison(flywheel, task), turn.flywheel, [turn.key], task).get(turn.key, Said())
    return [
        {
            "messages": train[query_id]["messages"],
            "responses": [
                {"text": text, "correct": None, "count": count}
                for text, count in sorted(given[query_id].items(), key=lambda one: (-one[1], one[0]))
            ],
        }
        | ({"reference": told.right[query_id]} if query_id in told.right else {})
        for query_id in drawn
    ]
