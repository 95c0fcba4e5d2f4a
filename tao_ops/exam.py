"""What must stay away from training and from worked examples: the items of benchmarks, and the holdout."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from tao_ops import clusters
from tao_ops.benchmarks.item_set import load_item_set
from tao_ops.config import Flywheel
from tao_ops.errors import ConfigError
from tao_ops.lake import Lake
from tao_ops.privacy import Redactor
from tao_ops.records import Message
from tao_ops.splits import Redact, Wall
from tao_ops.tables import Reason
from tao_ops.turn import Turn


def wall(flywheel: Flywheel, task: str) -> Wall:
    """The wall around all exams of the flywheel, whatever their task, since one model learns all tasks.

    Raises:
        ConfigError: a benchmark cannot be read.
    """
    config = flywheel.tasks[task]
    exams = [load_item_set(flywheel.file(b.path), b.name) for each in flywheel.tasks.values() for b in each.benchmarks]
    return Wall(exams, Redactor(config.privacy).together, config.near_duplicates)


def kept_away(lake: Lake, flywheel: Flywheel, turn: Turn, train: Mapping[str, Mapping[str, Any]]) -> dict[str, Reason]:
    """By query, why a training prompt is one no more: the exam has grown since, or the holdout has.

    Args:
        train: rows of ``prompts`` by query.
    """
    index = clusters.Index.load(lake, turn)
    found: dict[str, Reason] = {}
    for name, task in flywheel.tasks.items():
        asked = {query_id: row["messages"] for query_id, row in train.items() if row["task"] == name}
        conversations = list(asked.values())
        held_out = index.held_out(conversations, task.near_duplicates)
        exam = wall(flywheel, name).find(conversations)
        for query_id, held, item in zip(asked, held_out, exam, strict=True):
            if item is not None:
                found[query_id] = Reason.BENCHMARK_ITEM
            elif held:
                found[query_id] = Reason.HOLDOUT_MATCH
    return found


def _logged(messages: Sequence[Message], redact: Redact) -> list[Message]:
    contents = redact([unicodedata.normalize("NFC", message["content"]) for message in messages])
    return [{"role": m["role"], "content": content} for m, content in zip(messages, contents, strict=True)]


def refuse_exam(flywheel: Flywheel, task: str, examples: Mapping[str, Sequence[Message]]) -> None:
    """See that no worked example is an item of a benchmark, or nearly one.

    Args:
        examples: conversations by where they stand, ``file:line``.

    Raises:
        ConfigError: one is.
    """
    # As they would be logged: the wall holds items redacted.
    redact = Redactor(flywheel.tasks[task].privacy).together
    conversations = [_logged([m for m in messages if m["role"] == "user"], redact) for messages in examples.values()]
    for where, like in zip(examples, wall(flywheel, task).find(conversations), strict=True):
        if like is not None:
            raise ConfigError(
                f"a worked example is {like.value} to a benchmark item", where=where, mend="write another example"
            )
