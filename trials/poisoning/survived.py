"""What became of the attacker's queries: how far each got on its way to the rows that a model is trained on."""

from collections import Counter
from typing import Any

import pyarrow.parquet as pq

from tao_ops import trained_rows
from tao_ops.lake import Lake
from tao_ops.tables import PROMPTS, QUERIES, RESPONSES, REWARDS
from tao_ops.turn import Turn
from trials.poisoning.attack import PREFIX, Target, product_of

CONSENSUS = "consensus"
"""The scorer by whose votes wrong answers are told that every verifier takes for right."""


def survived(lake: Lake, turn: Turn, run_id: str, aim: Target, *, min_reward: float) -> dict[str, Any]:
    """Counts after each step; ``wrong`` are responses that name the decoy, as the attacker wants.

    Args:
        run_id: the run that trained a candidate, whose rows are looked at.
        min_reward: the reward from which on a response is trained on.
    """
    where = {"flywheel": turn.flywheel, "turn": turn.key}
    taken = lake.read(QUERIES, columns=["query_id", "request_id"], **where).to_pylist()
    theirs = {row["query_id"] for row in taken if row["request_id"].startswith(PREFIX)}
    asked = lake.read(PROMPTS, columns=["query_id", "split"], **where).to_pylist()
    prompts = [row for row in asked if row["query_id"] in theirs]
    given = lake.read(RESPONSES, columns=["response_id", "query_id", "answer"], **where).to_pylist()
    wrong = {
        row["response_id"] for row in given if row["query_id"] in theirs and product_of(row["answer"]) == aim.decoy
    }
    rewards = [row for row in lake.read(REWARDS, **where).to_pylist() if row["response_id"] in wrong]
    return {
        "taken": sum(row["request_id"].startswith(PREFIX) for row in taken),
        "prompts": len(prompts),
        "to_train_on": sum(row["split"] == "train" for row in prompts),
        "all_prompts": len(asked),
        "responses": sum(row["query_id"] in theirs for row in given),
        "wrong": len(wrong),
        "wrong_believed": sum(row["reward"] is not None and row["reward"] >= min_reward for row in rewards),
        "stopped_by": _stopped_by([row for row in rewards if row["reward"] is None or row["reward"] < min_reward]),
        **_rows(lake, turn, run_id, theirs, aim),
    }


def _stopped_by(rewards: list[dict[str, Any]]) -> dict[str, int]:
    """Of wrong responses that are not trained on: which verifiers refused them or could not decide; else consensus."""
    found: Counter[str] = Counter()
    for row in rewards:
        scores = {name: score for name, score in dict(row["scores"] or []).items() if name != CONSENSUS}
        low = {name for name, score in scores.items() if score is not None and score < 1}
        found.update(low | set(dict(row["undecided"] or [])) or {CONSENSUS})
    return dict(sorted(found.items()))


def _rows(lake: Lake, turn: Turn, run_id: str, theirs: set[str], aim: Target) -> dict[str, Any]:
    folders = [one.folder for one in trained_rows.candidates(lake, turn.flywheel) if one.run_id == run_id]
    if not folders:
        return {"rows": 0, "rows_wrong": 0, "all_rows": 0}
    rows = pq.read_table(folders[-1] / trained_rows.ROWS).to_pylist()
    mine = [row for row in rows if row["query_id"] in theirs]
    wrong = [row for row in mine if product_of(row["response"]) == aim.decoy]
    return {"rows": len(mine), "rows_wrong": len(wrong), "all_rows": len(rows)}
