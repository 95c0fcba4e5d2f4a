"""What an update reads: the scored responses of the last turns, and the newest queries of the holdout."""

from collections.abc import Mapping, Sequence
from typing import Any

from tao_ops import exam, prompts, splits
from tao_ops.backends.trl_trainer.job import Question
from tao_ops.config import Flywheel
from tao_ops.errors import MissingInput
from tao_ops.lake import Lake
from tao_ops.records import Split
from tao_ops.shards import check_fresh, shards
from tao_ops.tables import PROMPTS, RESPONSES, REWARDS, Reason
from tao_ops.turn import Turn


def turns(lake: Lake, flywheel: Flywheel, turn: Turn) -> list[str]:
    """The keys of this turn and of the newest turns before it that hold rewards, ``update.window`` at most.

    Raises:
        MissingInput: this turn has none.
    """
    have = lake.read(REWARDS, columns=["turn"], flywheel=turn.flywheel).column("turn").unique().to_pylist()
    if turn.key not in have:
        raise MissingInput("no rewards of this turn", where=turn.key, mend="run score first")
    before = sorted(key for key in have if key <= turn.key)
    return before[-flywheel.update.window :]


def scored(
    lake: Lake, flywheel: Flywheel, turn: Turn, window: Sequence[str]
) -> tuple[list[dict[str, Any]], dict[str, Reason]]:
    """Responses of training prompts with their ``reward`` and ``prompt``, and by query, why one is kept away now.

    Of a query in several turns, the newest turn's. A reward is None where no scorer could judge the response: nothing
    is learnt from it, but consensus counts it.

    Args:
        window: keys of turns.

    Raises:
        MissingInput: a shard of this turn has responses without a reward, or none.
    """
    where: dict[str, Any] = {"flywheel": turn.flywheel, "turn": list(window)}
    train: dict[str, dict[str, Any]] = {}
    for row in sorted(lake.read(PROMPTS, **where).to_pylist(), key=lambda row: str(row["turn"])):
        if row["split"] == Split.TRAIN:
            train[row["query_id"]] = row
    kept_away = exam.kept_away(lake, flywheel, turn, train)
    rewards = {(r["turn"], r["response_id"]): r for r in lake.read(REWARDS, **where).to_pylist()}
    responses = lake.read(RESPONSES, **where).to_pylist()
    _see_that_all_is_scored(lake, flywheel, turn, [r for r in responses if r["turn"] == turn.key], rewards)
    found = []
    for response in responses:
        prompt = train.get(response["query_id"])
        reward = rewards.get((response["turn"], response["response_id"]))
        if prompt is None or reward is None or prompt["turn"] != response["turn"]:
            continue
        if prompt["task"] in flywheel.tasks and prompt["query_id"] not in kept_away:
            found.append({**response, "reward": reward["reward"], "prompt": prompt})
    return found, kept_away


def _see_that_all_is_scored(
    lake: Lake,
    flywheel: Flywheel,
    turn: Turn,
    responses: Sequence[Mapping[str, Any]],
    rewards: Mapping[tuple[str, str], Mapping[str, Any]],
) -> None:
    """Each shard with training prompts has responses, and each response has a reward; a query may have none."""
    check_fresh(lake, turn)
    sampled = {response["shard"] for response in responses}
    every = shards(lake, flywheel, turn)
    missing = [shard for shard, prompts in enumerate(every) if prompts and shard not in sampled]
    missing += [r["shard"] for r in responses if (r["turn"], r["response_id"]) not in rewards]
    if missing:
        raise MissingInput(
            f"shard {min(missing)} has responses without a reward, or none",
            where=turn.key,
            mend="run generate and score for every shard",
        )


def holdout(lake: Lake, flywheel: Flywheel, turn: Turn) -> list[Question]:
    """The newest queries of the holdout, up to this turn, as many of each task; of one turn, by their texts' digests.

    Under the production prompt, ``update.watch.queries`` in all. Like the selection, it is the same on every
    installation.
    """
    where: dict[str, Any] = {"flywheel": turn.flywheel, "split": Split.HOLDOUT.value}
    rows = [row for row in lake.read(PROMPTS, **where).to_pylist() if row["turn"] <= turn.key]
    rows.sort(key=lambda row: (row["turn"], splits.messages_digest(row["messages"])), reverse=True)
    share = -(-flywheel.update.watch.queries // len(flywheel.tasks))
    production = {name: flywheel.prompt(name) for name in flywheel.tasks}
    found: dict[str, dict[str, Question]] = {task: {} for task in flywheel.tasks}
    for row in rows:
        name, mine = row["task"], found.get(row["task"])
        if mine is not None and len(mine) < share:
            asked = prompts.production(production[name], row["messages"])
            longest = flywheel.tasks[name].max_tokens
            mine.setdefault(row["query_id"], Question(asked, name, row["query_id"], longest))
    return [question for task in found.values() for question in task.values()]
