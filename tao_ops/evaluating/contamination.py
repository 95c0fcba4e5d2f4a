"""Which benchmark items a candidate was trained on: the wall keeps them away, and the gate does not take its word."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tao_ops import splits
from tao_ops.benchmarks.item_sets import Item, ItemSet
from tao_ops.config import Flywheel
from tao_ops.errors import MissingInput
from tao_ops.privacy import Redactor
from tao_ops.records import Message
from tao_ops.splits import Redact, Wall
from tao_ops.trained_rows import ROWS


def trained_on(folder: Path) -> list[dict[str, Any]]:
    """The rows that the candidate in ``folder`` was trained on: those that no erasure has taken out.

    Raises:
        MissingInput: they are not there.
    """
    import pyarrow.parquet as pq

    if not (folder / ROWS).is_file():
        raise MissingInput("the rows that the candidate was trained on are missing", where=folder, mend="run update")
    rows: list[dict[str, Any]] = pq.read_table(folder / ROWS, columns=["task", "messages"]).to_pylist()
    return rows


def contaminated(flywheel: Flywheel, item_sets: Sequence[ItemSet], rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """``benchmark/item_id`` of the items that are equal or near to a training row, as its task counts nearness.

    Args:
        item_sets: of all benchmarks but the holdout, which has a wall of its own.
        rows: with ``task`` and ``messages``.
    """
    found: set[str] = set()
    for name, task in flywheel.tasks.items():
        asked = {splits.messages_digest(row["messages"]): row["messages"] for row in rows if row["task"] == name}
        if asked and item_sets:
            redact = Redactor(task.privacy).together
            found |= _items(item_sets, list(asked.values()), redact, task.near_duplicates)
    return found


def _items(
    item_sets: Sequence[ItemSet], asked: Sequence[Sequence[Message]], redact: Redact, threshold: float
) -> set[str]:
    every = [replace(items, items=tuple(one for item in items.items for one in _forms(item))) for items in item_sets]
    like = Wall(every, redact, threshold).find(asked)
    suspects = [messages for messages, one in zip(asked, like, strict=True) if one is not None]
    if not suspects:
        return set()
    # Which items they are is asked of one wall for each: there are few suspects, or the candidate is lost anyway.
    return {
        f"{items.name}/{item.item_id}"
        for items in item_sets
        for item in items.items
        if any(Wall([replace(items, items=_forms(item))], redact, threshold).find(suspects))
    }


def _forms(item: Item) -> tuple[Item, ...]:
    """The item as it is asked, and its bare question, where a log would hold that alone."""
    bare: Message = {"role": "user", "content": item.question}
    return (item, replace(item, messages=(bare,))) if item.question else (item,)
