"""Worked examples out of earlier turns' own responses: those whose reward is near certain.

Never of the holdout, and never near an item of a benchmark: what trains later turns is sampled with them in sight.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tao_ops import exam, splits
from tao_ops.config import Flywheel
from tao_ops.lake import Lake
from tao_ops.records import Message, Split
from tao_ops.tables import PROMPTS, RESPONSES, REWARDS
from tao_ops.turn import Turn

MOST = 64
"""Examples of a task that are kept to draw from, the best ones."""

Example = Sequence[Message]


def bootstrapped(lake: Lake, flywheel: Flywheel, turn: Turn, task: str) -> dict[str, list[Example]]:
    """Examples by strategy, for those of a task's strategies that bootstrap; none before the second turn."""
    wanted = {s.name: s.bootstrap for s in flywheel.tasks[task].strategies if s.bootstrap is not None}
    if not wanted:
        return {}
    best = _best(lake, flywheel, turn, task, min(config.min_reward for config in wanted.values()))
    return {
        name: [example for reward, example in best if reward >= config.min_reward][:MOST]
        for name, config in wanted.items()
    }


def _best(lake: Lake, flywheel: Flywheel, turn: Turn, task: str, least: float) -> list[tuple[float, Example]]:
    """The best response of each training prompt of the turns before, best first; of equals, by their texts."""
    have = lake.read(REWARDS, columns=["turn"], flywheel=turn.flywheel).column("turn").unique().to_pylist()
    turns = sorted(key for key in have if key < turn.key)[-max(1, flywheel.generate.history) :]
    where: dict[str, Any] = {"flywheel": turn.flywheel, "turn": turns}
    prompts = _train_prompts(lake, flywheel, turn, task, where)
    rewards = {(r["turn"], r["response_id"]): r["reward"] for r in lake.read(REWARDS, **where).to_pylist()}
    columns = ["turn", "response_id", "query_id", "answer", "finish_reason"]
    found: dict[str, tuple[float, str]] = {}
    for row in lake.read(RESPONSES, columns=columns, **where).to_pylist():
        reward = rewards.get((row["turn"], row["response_id"])) or 0.0
        if row["query_id"] in prompts and reward >= least and row["finish_reason"] == "stop" and row["answer"]:
            found[row["query_id"]] = max(found.get(row["query_id"], (0.0, "")), (reward, row["answer"]))
    ranked = sorted(
        found, key=lambda query_id: (-found[query_id][0], splits.messages_digest(prompts[query_id]["messages"]))
    )
    return [(found[q][0], [*prompts[q]["messages"], {"role": "assistant", "content": found[q][1]}]) for q in ranked]


def _train_prompts(
    lake: Lake, flywheel: Flywheel, turn: Turn, task: str, where: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    rows = lake.read(PROMPTS, task=task, split=Split.TRAIN.value, **where).to_pylist()
    train = {row["query_id"]: row for row in rows}
    away = exam.kept_away(lake, flywheel, turn, train)
    return {query_id: row for query_id, row in train.items() if query_id not in away}
