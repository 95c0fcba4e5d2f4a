"""Shards: which of a turn's prompts each part takes, the same for ``generate`` and ``score``."""

from typing import Any

from tao_ops import splits
from tao_ops.config import Flywheel
from tao_ops.errors import MissingInput
from tao_ops.lake import Lake
from tao_ops.records import Prompt, Split
from tao_ops.tables import PROMPTS
from tao_ops.turn import Turn


def shard_prompts(lake: Lake, flywheel: Flywheel, turn: Turn, shard: int) -> list[Prompt]:
    """The training prompts of one shard of a turn, longest first, in an order that their texts alone decide.

    Not by ``query_id``, which depends on an installation's key: the same seed would sample otherwise elsewhere. Long
    ones come first, so that a shard that needs too much memory says so at once, and no long one is left for the end.

    Raises:
        MissingInput: the turn has no prompts.
    """
    train, shards = _train(lake, flywheel, turn)
    return train[shard::shards]


def shard_share(lake: Lake, flywheel: Flywheel, turn: Turn, shard: int) -> tuple[int, int]:
    """How many of the turn's training prompts a shard has, and how many there are."""
    train, shards = _train(lake, flywheel, turn)
    return len(train[shard::shards]), len(train)


def _train(lake: Lake, flywheel: Flywheel, turn: Turn) -> tuple[list[Prompt], int]:
    rows = lake.read(PROMPTS, flywheel=turn.flywheel, turn=turn.key).to_pylist()
    if not rows:
        raise MissingInput("no prompts of this turn", where=turn.key, mend="run validate first")
    train = sorted((row for row in rows if row["split"] == Split.TRAIN), key=_order)
    prompts = [Prompt(r["query_id"], r["task"], tuple(r["messages"])) for r in train]
    return prompts, min(flywheel.generate.shards, len(rows))


def _order(row: dict[str, Any]) -> tuple[int, str, str]:
    text = splits.conversation_text(row["messages"])
    return -len(text), splits.digest(text), str(row["query_id"])
