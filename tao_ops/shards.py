"""Shards: which of a turn's prompts each part takes, the same for ``generate`` and ``score``."""

from typing import Any

from tao_ops import splits
from tao_ops.config import Flywheel
from tao_ops.errors import MissingInput
from tao_ops.lake import Lake
from tao_ops.records import Prompt, Split
from tao_ops.tables import PROMPTS, TURNS
from tao_ops.turn import Turn


def shards(lake: Lake, flywheel: Flywheel, turn: Turn) -> list[list[Prompt]]:
    """The training prompts of each shard of a turn, longest first, in an order that their texts alone decide.

    Not by ``query_id``, which depends on an installation's key: the same seed would sample otherwise elsewhere. Long
    ones come first, so that a shard that needs too much memory says so at once, and no long one is left for the end.

    Raises:
        MissingInput: the turn has no prompts.
    """
    rows = lake.read(PROMPTS, flywheel=turn.flywheel, turn=turn.key).to_pylist()
    if not rows:
        raise MissingInput("no prompts of this turn", where=turn.key, mend="run validate first")
    train = sorted((row for row in rows if row["split"] == Split.TRAIN), key=_order)
    prompts = [Prompt(r["query_id"], r["task"], tuple(r["messages"])) for r in train]
    count = min(flywheel.generate.shards, len(rows))
    return [prompts[shard::count] for shard in range(count)]


def shard_prompts(lake: Lake, flywheel: Flywheel, turn: Turn, shard: int) -> list[Prompt]:
    """The training prompts of one shard, of :func:`shards`; none where the turn has fewer shards."""
    every = shards(lake, flywheel, turn)
    return every[shard] if shard < len(every) else []


def check_fresh(lake: Lake, turn: Turn, shard: int | None = None) -> None:
    """See that a shard, or every one, was not sampled before the turn's prompts were last made.

    It goes by the table ``turns``: of a stage that was not recorded there, nothing is said.

    Raises:
        MissingInput: one was.
    """
    columns = ["stage", "shard", "finished_at"]
    rows = lake.read(TURNS, columns=columns, flywheel=turn.flywheel, turn=turn.key, stage=["validate", "generate"])
    done = rows.to_pylist()
    made = max((row["finished_at"] for row in done if row["stage"] == "validate"), default=None)
    sampled = [row for row in done if row["stage"] == "generate" and shard in (None, row["shard"])]
    old = [row["shard"] for row in sampled if made and row["finished_at"] < made]
    if old:
        raise MissingInput(
            f"the responses of shard {min(old)} are older than the turn's prompts",
            where=turn.key,
            mend="run generate and score again",
        )


def _order(row: dict[str, Any]) -> tuple[int, str, str, str]:
    text = splits.conversation_text(row["messages"])
    return -len(text), splits.digest(text), str(row["task"]), str(row["query_id"])
