"""Rows of the selection as what the trainer learns from, under the production prompt."""

from collections.abc import Mapping, Sequence

from tao_ops import prompts
from tao_ops.backends.trl_trainer.job import Best, Example, Group, Judged, Preference, Question
from tao_ops.config import Method
from tao_ops.updating.selection import Row


def examples(
    method: Method, rows: Sequence[Row], production: Mapping[str, str], max_tokens: Mapping[str, int]
) -> list[Example]:
    """One example per unit of ``rows``, as often as its ``copies`` say: all of them once, then those that come again.

    Args:
        production: each task's production prompt.
        max_tokens: of an answer, by task.
    """
    units: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        units.setdefault((row["query_id"], row["unit"]), []).append(row)
    most = max((row["copies"] for row in rows), default=0)
    passes = [unit for i in range(most) for unit in units.values() if unit[0]["copies"] > i]
    found: list[Example] = []
    for unit in passes:
        first = unit[0]
        messages = prompts.production(production[first["task"]], first["messages"])
        match method:
            case Method.RAFT:
                found.append(Best(messages, first["response"], first["weight"]))
            case Method.DPO:
                found.append(Preference(messages, first["response"], unit[1]["response"]))
            case Method.KTO:
                found.append(Judged(messages, first["response"], first["role"] == "good"))
            case Method.GRPO_OFFLINE:
                texts, rewards = [row["response"] for row in unit], [row["reward"] for row in unit]
                found.append(Group(messages, texts, rewards))
            case Method.GRPO:
                found.append(Question(messages, first["task"], first["query_id"], max_tokens[first["task"]]))
    return found
