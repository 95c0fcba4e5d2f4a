"""The right answers to the logged messages, which only the example's generator knows; no stage ever sees them."""

import json
import random
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from tao_ops.example import logs
from tao_ops.example.entities import pools
from tao_ops.example.messages import messages
from tao_ops.example.templates import traffic_templates
from tao_ops.lake import Lake
from tao_ops.tables import PROMPTS, QUERIES, RESPONSES, REWARDS
from tao_ops.turn import Turn

Reference = Mapping[str, str]


def references(seed: int, today: date, *, days: int = 7, per_day: int = 150) -> dict[str, Reference]:
    """The right answer to each request of the week's logs, by its request id: drawn again as ``write_logs`` drew it."""
    found: dict[str, Reference] = {}
    for index in range(days):
        day = today - timedelta(days=days - index)
        rng = random.Random(f"tickets logs {seed} {index}")
        count = per_day + rng.randint(-(per_day // 15), per_day // 15)
        drawn = messages(traffic_templates(), pools().traffic, rng)
        for query in logs._queries(drawn, count, rng):
            found[f"req-{day:%Y%m%d}-{query.number:04d}-{query.token}"] = query.message.reference
    return found


def answer(reference: Reference) -> str:
    """A right answer as the worked examples write it."""
    return json.dumps(dict(reference))


def teach(lake: Lake, turn: Turn, run_id: str, known: Mapping[str, Reference]) -> int:
    """Put one response, the right one with a reward of 1, to each training prompt in the place of the turn's own.

    Returns:
        how many prompts there are.
    """
    where: dict[str, Any] = {"flywheel": turn.flywheel, "turn": turn.key}
    asked = lake.read(QUERIES, columns=["query_id", "request_id"], flywheel=turn.flywheel).to_pylist()
    by_query = {row["query_id"]: known[row["request_id"]] for row in asked}
    prompts = [row for row in lake.read(PROMPTS, **where).to_pylist() if row["split"] == "train"]
    texts = {prompt["query_id"]: answer(by_query[prompt["query_id"]]) for prompt in prompts}
    lake.write(RESPONSES, [_response(*pair) for pair in texts.items()], turn=turn, run_id=run_id, shard=0)
    lake.write(REWARDS, [_reward(query_id) for query_id in texts], turn=turn, run_id=run_id, shard=0)
    return len(texts)


def permute(lake: Lake, turn: Turn, run_id: str, seed: int) -> int:
    """Hand the turn's rewards out anew, each to a response drawn at random.

    Returns:
        how many responses have another reward than before.
    """
    rows = lake.read(REWARDS, flywheel=turn.flywheel, turn=turn.key).to_pylist()
    before = [row["reward"] for row in rows]
    after = permuted(before, [str(row["response_id"]) for row in rows], seed)
    changed = [{**row, "reward": reward} for row, reward in zip(rows, after, strict=True)]
    lake.write(REWARDS, changed, turn=turn, run_id=run_id, shard=0)
    return sum(one != other for one, other in zip(before, after, strict=True))


def permuted(rewards: Sequence[float | None], names: Sequence[str], seed: int) -> list[float | None]:
    """The same rewards in another order, which the names and the seed decide; a missing reward stays where it is."""
    places = sorted((i for i, reward in enumerate(rewards) if reward is not None), key=lambda i: names[i])
    drawn = random.Random(f"random rewards {seed}").sample(places, len(places))
    found = list(rewards)
    for place, source in zip(places, drawn, strict=True):
        found[place] = rewards[source]
    return found


def _response(query_id: str, text: str) -> dict[str, Any]:
    return {
        "response_id": f"{query_id}:gold:0",
        "query_id": query_id,
        "strategy": "gold",
        "strategy_version": "",
        "sample": 0,
        "round": 0,
        "temperature": 0.0,
        "text": text,
        "answer": text,
        "token_ids": [],
        "logprobs": [],
        "finish_reason": "stop",
        "tokens": 0,
        "model_version": "gold",
    }


def _reward(query_id: str) -> dict[str, Any]:
    return {
        "response_id": f"{query_id}:gold:0",
        "query_id": query_id,
        "scores": [],
        "undecided": [],
        "reward": 1.0,
        "flags": [],
        "calibrator_version": None,
    }
