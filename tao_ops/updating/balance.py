"""How the tasks of one model share its training: what lacks more is trained on more often.

Of task t with nₜ examples and need dₜ, the share of the training is sₜ = dₜ / Σ d (``need``) or 1 / tasks
(``equal``). It gets mₜ = max(nₜ, round(N sₜ)) examples, N = min(maxₜ nₜ / sₜ, minₜ 4 nₜ / sₜ): the fewest with which
every example is there and all shares are met, unless an example would be there more than 4 times. Then the tasks that
are repeated keep their shares to each other, and the others have each of their examples once.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tao_ops import splits
from tao_ops.config import Balance
from tao_ops.updating.selection import Row

MOST = 4
"""Times that an example is repeated at most: more of the same teaches its words and not its task."""
_LEAST = 0.01
"""A task that lacks nothing counts as lacking this: none is without a share."""


def needs(scored: Sequence[Mapping[str, Any]], production: Mapping[str, Collection[str]]) -> dict[str, float]:
    """What each task lacks: dₜ = 1 - the mean, over its queries, of the mean reward of their responses, in [0, 1].

    It counts the responses that were asked for under the production prompt alone, which is what the model has to
    answer once it is trained; all of them where a task has none such.

    Args:
        scored: responses with ``reward``, ``strategy``, ``query_id`` and their ``prompt``; those without a reward are
            left out.
        production: by task, the names of the strategies that ask by the production prompt alone.
    """
    by_task: dict[str, list[Mapping[str, Any]]] = {}
    for row in scored:
        if row["reward"] is not None:
            by_task.setdefault(row["prompt"]["task"], []).append(row)
    found = {}
    for task, rows in by_task.items():
        own = [row for row in rows if row["strategy"] in production.get(task, ())]
        pools: dict[str, list[float]] = {}
        for row in own or rows:
            pools.setdefault(row["query_id"], []).append(row["reward"])
        found[task] = 1.0 - sum(sum(pool) / len(pool) for pool in pools.values()) / len(pools)
    return found


def balanced(rows: Sequence[Row], need: Mapping[str, float], how: Balance) -> list[Row]:
    """The same rows with ``copies``, how often each is trained on in an epoch, and weights with a mean of 1 per task.

    The rows of one unit stay together. Rows of a single task are as they were.
    """
    counts = _counts(rows)
    if how is Balance.NONE or len(counts) < 2:
        return list(rows)
    wanted = targets(counts, need if how is Balance.NEED else dict.fromkeys(counts, 1.0))
    copies: dict[tuple[str, int], int] = {}
    for task, most in wanted.items():
        units = {_unit(row): row for row in rows if row["task"] == task}
        whole, rest = divmod(most, len(units))
        by_digest = sorted(units, key=lambda unit: _digest(units[unit]))
        copies |= {unit: whole + (i < rest) for i, unit in enumerate(by_digest)}
    return _weighed([{**row, "copies": copies[_unit(row)]} for row in rows])


def targets(counts: Mapping[str, int], need: Mapping[str, float]) -> dict[str, int]:
    """How many examples each task gets, of how many it has.

    >>> targets({"a": 10, "b": 10}, {"a": 0.6, "b": 0.3})
    {'a': 20, 'b': 10}
    >>> targets({"a": 10, "b": 1000}, {"a": 0.5, "b": 0.5})
    {'a': 40, 'b': 1000}
    """
    lacks = {task: max(_LEAST, need.get(task, 1.0)) for task in counts}
    share = {task: lack / sum(lacks.values()) for task, lack in lacks.items()}
    fair = max(counts[task] / share[task] for task in counts)
    whole = min(fair, *(MOST * counts[task] / share[task] for task in counts))
    return {task: max(counts[task], round(whole * share[task])) for task in counts}


def told(rows: Sequence[Row], need: Mapping[str, float], tasks: Collection[str]) -> dict[str, dict[str, Any]]:
    """Of each task: ``queries``, ``examples`` in an epoch, their ``share`` of all, and ``need`` (None if unknown)."""
    units = {_unit(row): row for row in rows}
    every = sum(row["copies"] for row in units.values())
    found: dict[str, dict[str, Any]] = {}
    for task in tasks:
        mine = [row for row in units.values() if row["task"] == task]
        examples = sum(row["copies"] for row in mine)
        found[task] = {
            "queries": len({row["query_id"] for row in mine}),
            "examples": examples,
            "share": examples / every if every else 0.0,
            "need": need.get(task),
        }
    return found


def _counts(rows: Sequence[Row]) -> dict[str, int]:
    """Examples of each task."""
    found: dict[str, int] = {}
    for row in {_unit(row): row for row in rows}.values():
        found[row["task"]] = found.get(row["task"], 0) + 1
    return found


def _unit(row: Row) -> tuple[str, int]:
    return row["query_id"], row["unit"]


def _digest(row: Row) -> str:
    """By the text alone: the same on every installation, and of a query's units not one after the other."""
    return hashlib.sha256(f"{splits.messages_digest(row['messages'])}:{row['unit']}".encode()).hexdigest()


def _weighed(rows: Sequence[Row]) -> list[Row]:
    """Weights whose mean over a task's examples is 1: margins say which query of a task counts, not which task."""
    weights: dict[str, float] = {}
    copies: dict[str, int] = {}
    for row in rows:
        weights[row["task"]] = weights.get(row["task"], 0.0) + row["copies"] * row["weight"]
        copies[row["task"]] = copies.get(row["task"], 0) + row["copies"]
    return [{**row, "weight": row["weight"] * copies[row["task"]] / weights[row["task"]]} for row in rows]
