"""What must stay away from training and from worked examples: the items of benchmarks, and the holdout."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tao_ops import clusters
from tao_ops.benchmarks.item_sets import ItemSet
from tao_ops.config import BenchmarkFormat, Flywheel
from tao_ops.errors import ConfigError
from tao_ops.lake import Lake
from tao_ops.privacy import Redactor
from tao_ops.records import Message
from tao_ops.scoring import marks
from tao_ops.splits import Wall, as_logged
from tao_ops.tables import Reason
from tao_ops.turn import Turn


def walls(flywheel: Flywheel) -> dict[str, Wall]:
    """Each task's wall around all exams of the flywheel, whatever their task, since one model learns all tasks.

    An item whose message holds more than its question, such as a table, is found by the bare question, too. The holdout
    has a wall of its own.

    Raises:
        ConfigError: a benchmark cannot be read.
    """
    benchmarks = [each for task in flywheel.tasks.values() for each in task.benchmarks]
    exams = [
        _with_questions(marks.asked(each, flywheel.file))
        for each in benchmarks
        if each.format is not BenchmarkFormat.HOLDOUT
    ]
    return {
        name: Wall(exams, Redactor(task.privacy).together, task.near_duplicates)
        for name, task in flywheel.tasks.items()
    }


def _with_questions(items: ItemSet) -> ItemSet:
    bare = [
        replace(item, messages=({"role": "user", "content": item.question},)) for item in items.items if item.question
    ]
    return replace(items, items=(*items.items, *bare))


def kept_away(lake: Lake, flywheel: Flywheel, turn: Turn, train: Mapping[str, Mapping[str, Any]]) -> dict[str, Reason]:
    """By query, why a training prompt is one no more: the exam has grown since, or the holdout has.

    Args:
        train: rows of ``prompts`` by query.
    """
    index, around = clusters.Index.load(lake, turn), walls(flywheel)
    found: dict[str, Reason] = {}
    for name, task in flywheel.tasks.items():
        asked = {query_id: row["messages"] for query_id, row in train.items() if row["task"] == name}
        conversations = list(asked.values())
        held_out = index.held_out(conversations, task.near_duplicates)
        exam = around[name].find(conversations)
        for query_id, held, item in zip(asked, held_out, exam, strict=True):
            if item is not None:
                found[query_id] = Reason.BENCHMARK_ITEM
            elif held:
                found[query_id] = Reason.HOLDOUT_MATCH
    return found


def refuse_exam(flywheel: Flywheel, task: str, examples: Mapping[str, Sequence[Message]]) -> None:
    """See that no worked example is an item of a benchmark, or nearly one.

    Args:
        examples: conversations by where they stand, ``file:line``.

    Raises:
        ConfigError: one is.
    """
    # As they would be logged: the wall holds items redacted.
    redact = Redactor(flywheel.tasks[task].privacy).together
    conversations: list[list[Message]] = []
    for messages in examples.values():
        contents = as_logged([m["content"] for m in messages if m["role"] == "user"], redact)
        conversations.append([{"role": "user", "content": content} for content in contents])
    for where, like in zip(examples, walls(flywheel)[task].find(conversations), strict=True):
        if like is not None:
            raise ConfigError(
                f"a worked example is {like.value} to a benchmark item", where=where, mend="write another example"
            )
