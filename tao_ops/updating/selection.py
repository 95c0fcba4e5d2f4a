"""What each method learns from a query's scored responses: pure functions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tao_ops import splits
from tao_ops.config import Method, UpdateConfig

Row = dict[str, Any]
"""One response that is trained on: ``turn``, ``query_id``, ``response_id``, ``task``, ``messages``, ``response``,
``reward``, ``role`` (what it is trained as), ``unit`` (rows of one example share it), ``weight``, and ``copies`` (how
often the example is trained on in an epoch)."""

_TINY = 1e-6
"""Rewards nearer than this are the same."""


def select(method: Method, scored: Sequence[Mapping[str, Any]], config: UpdateConfig) -> list[Row]:
    """Rows for ``method``, in an order that depends on their texts alone.

    Args:
        scored: responses with ``reward``, ``answer``, ``finish_reason`` and their ``prompt``; of those without a
            reward nothing is learnt.
    """
    pools: dict[str, list[Mapping[str, Any]]] = {}
    for row in scored:
        # What was cut off, or says nothing, is no answer to learn from, good or bad.
        if row["reward"] is not None and row["finish_reason"] == "stop" and row["answer"]:
            pools.setdefault(row["query_id"], []).append(row)
    choose = _CHOOSE[method]
    rows: list[Row] = []
    # By the texts, as exploration: the order shapes the training, and ids depend on an installation's key.
    for query_id in sorted(pools, key=lambda q: _by_text(pools[q][0]["prompt"])):
        pool = sorted(pools[query_id], key=lambda row: (-row["reward"], str(row["response_id"])))
        rows += choose(pool, config)
    return _normalised(rows)


def shortage(method: Method, rows: Sequence[Row], asked: int, config: UpdateConfig) -> str | None:
    """Why ``rows`` are too few to train on by ``method``; None where they are enough.

    Args:
        asked: queries that have responses.
    """
    found, least = len({row["query_id"] for row in rows}), config.min_rows
    good, bad = f"a reward of at least {config.min_reward:g}", f"at most {config.min_reward - config.margin:g}"
    learnt = {
        Method.RAFT: f"a response with {good}",
        Method.DPO: f"a response with {good} and another answer at least {config.margin:g} below it",
        Method.KTO: f"a response with {good}, or of {bad}",
        Method.GRPO_OFFLINE: f"a response with {good} and one with another reward: else all advantages are zero",
        Method.GRPO: "a response that could be scored",
    }[method]
    if method is Method.GRPO:
        least = max(least, config.sampler.queries)
    if found < least:
        return f"{method.value}: only {found} of {asked} queries have {learnt}; {least} are needed"
    if method is Method.KTO:
        for role, reward in (("good", good), ("bad", f"a reward of {bad}")):
            if all(row["role"] != role for row in rows):
                return (
                    f"kto learns from good and bad responses: none of {asked} queries has a {role} one, with {reward}"
                )
    return None


def _by_text(prompt: Mapping[str, Any]) -> tuple[str, str, str]:
    messages = prompt["messages"]
    return splits.messages_digest(messages), prompt["task"], splits.conversation_text(messages)


def _best(pool: Sequence[Mapping[str, Any]], config: UpdateConfig) -> list[Row]:
    """The best response, weighted by how far it is above the mean of its query; of equals, the first by id."""
    if pool[0]["reward"] < config.min_reward:
        return []
    margin = pool[0]["reward"] - sum(row["reward"] for row in pool) / len(pool)
    # A query whose responses are all as good still teaches its answer, a tenth as much as the clearest can.
    return [_row(pool[0], "best", 0, max(0.1, margin) if config.weighted else 1.0)]


def _pairs(pool: Sequence[Mapping[str, Any]], config: UpdateConfig) -> list[Row]:
    """The best response against the most frequent worse answers."""
    good = pool[0]
    if good["reward"] < config.min_reward:
        return []
    found: list[Row] = []
    for unit, bad in enumerate(_worse(pool, good["reward"] - config.margin)[: config.pairs]):
        found += [_row(good, "chosen", unit), _row(bad, "rejected", unit)]
    return found


def _judged(pool: Sequence[Mapping[str, Any]], config: UpdateConfig) -> list[Row]:
    """Good answers and, as many at most, bad ones."""
    good = _distinct([row for row in pool if row["reward"] >= config.min_reward])[: config.pairs]
    bad = _worse(pool, config.min_reward - config.margin)[: config.pairs]
    rows = [_row(row, "good", unit) for unit, row in enumerate(good)]
    return rows + [_row(row, "bad", len(good) + unit) for unit, row in enumerate(bad)]


def _group(pool: Sequence[Mapping[str, Any]], config: UpdateConfig) -> list[Row]:
    """``group`` responses, evenly from the best to the worst, some twice where there are fewer."""
    if pool[0]["reward"] < config.min_reward or pool[0]["reward"] - pool[-1]["reward"] < _TINY:
        return []
    size, n = config.group, len(pool)
    chosen = [pool[i * (n - 1) // (size - 1)] for i in range(size)] if n > size else [pool[i % n] for i in range(size)]
    return [_row(row, "member", 0) for row in chosen]


def _asked(pool: Sequence[Mapping[str, Any]], config: UpdateConfig) -> list[Row]:
    """The query alone: the model in training answers it."""
    return [_row(pool[0], "query", 0)]


_CHOOSE: Mapping[Method, Callable[[Sequence[Mapping[str, Any]], UpdateConfig], list[Row]]] = {
    Method.RAFT: _best,
    Method.DPO: _pairs,
    Method.KTO: _judged,
    Method.GRPO_OFFLINE: _group,
    Method.GRPO: _asked,
}


def _worse(pool: Sequence[Mapping[str, Any]], most: float) -> list[Mapping[str, Any]]:
    """Distinct answers with a reward of at most ``most``: the most frequent first, then the nearest to right."""
    bad = [row for row in pool if row["reward"] <= most + _TINY]
    count: dict[str, int] = {}
    for row in bad:
        count[row["answer"]] = count.get(row["answer"], 0) + 1
    return sorted(_distinct(bad), key=lambda row: (-count[row["answer"]], -row["reward"], row["answer"]))


def _distinct(pool: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first row of each answer."""
    first: dict[str, Mapping[str, Any]] = {}
    for row in pool:
        first.setdefault(row["answer"], row)
    return list(first.values())


def _row(scored: Mapping[str, Any], role: str, unit: int, weight: float = 1.0) -> Row:
    return {
        "turn": scored["turn"],
        "query_id": scored["query_id"],
        "response_id": scored["response_id"],
        "task": scored["prompt"]["task"],
        "messages": scored["prompt"]["messages"],
        "response": scored["answer"],
        "reward": scored["reward"],
        "role": role,
        "unit": unit,
        "weight": weight,
        "copies": 1,
    }


def _normalised(rows: list[Row]) -> list[Row]:
    """Weights with a mean of 1."""
    mean = sum(row["weight"] for row in rows) / len(rows) if rows else 1.0
    return [{**row, "weight": row["weight"] / mean} for row in rows]
