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
    """The training prompts of one shard of a turn, in an order that their texts alone decide.

    Not by ``query_id``, which depends on an installation's key: the same seed would sample otherwise elsewhere.

    Raises:
        MissingInput: the turn has no prompts.
    """
    rows = lake.read(PROMPTS, flywheel=turn.flywheel, turn=turn.key).to_pylist()
    if not rows:
        raise MissingInput("no prompts of this turn", where=turn.key, mend="run validate first")
    shards = min(flywheel.generate.shards, len(rows))
    train = sorted((row for row in rows if row["split"] == Split.TRAIN), key=_order)
    return [Prompt(r["query_id"], r["task"], tuple(r["messages"])) for r in train[shard::shards]]


def _order(row: dict[str, Any]) -> tuple[str, str]:
    return splits.digest(splits.conversation_text(row["messages"])), str(row["query_id"])
