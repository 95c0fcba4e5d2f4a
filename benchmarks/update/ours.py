"""Our side: ``python -m benchmarks.update.ours told.json`` trains as ``told.json`` says, by ``trl_trainer.train``."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tao_ops.backends import trl_trainer
from tao_ops.backends.trl_trainer.job import Best, Example, Job, Preference, Question
from tao_ops.config import Method, UpdateConfig
from tao_ops.files import write_json
from tao_ops.models import model_ref

WEIGHT = 1.000001
"""So near to 1 that the loss stays the same, and yet ``raft`` goes the way of its weights."""


def main(path: Path) -> None:
    """Train, and write each step's time, tokens and loss."""
    told = json.loads(path.read_text(encoding="utf-8"))
    _import(told["method"])
    logs: list[tuple[float, float, float]] = []

    def sink(_: int, figures: Mapping[str, float]) -> None:
        if "loss" in figures:
            logs.append((time.monotonic(), figures["tokens"], figures["loss"]))

    values = {row["id"]: row["values"] for row in told["rows"]}

    def rewarder(questions: Sequence[Question], texts: Sequence[str]) -> list[float | None]:
        asked = [values[question.query_id] for question in questions]
        return [reward(one, text) for one, text in zip(asked, texts, strict=True)]

    began = time.monotonic()
    metrics = trl_trainer.train(job(told), rewarder, sink=sink)
    seconds = time.monotonic() - began
    write_json(Path(told["result"]), {"logs": logs, "seconds": seconds, "peak_mib": metrics["peak_mib"]})


def reward(values: Sequence[str], text: str) -> float:
    """For ``grpo``, as the side by hand has it: right values, and letters, so that no two answers are worth the same.

    >>> reward(["Lea", "lamp"], "Lea")
    0.625
    """
    said = sum(value in text for value in values) / len(values)
    return (said + sum(map(str.isalpha, text)) / (1 + len(text))) / 2


def _import(method: str) -> None:
    """The libraries, before the clock starts; no trainer but the one that is needed."""
    import datasets  # noqa: F401
    import peft  # noqa: F401
    import trl

    getattr(trl, {"raft": "SFTTrainer", "dpo": "DPOTrainer", "grpo": "GRPOTrainer"}[method])


def job(told: Mapping[str, Any]) -> Job:
    """The job as the stage would make it, without a holdout."""
    folder, model = Path(told["folder"]), model_ref(Path(told["model"]))
    steps, rate = told["steps"], told["learning_rate"]
    on_policy = told["method"] == Method.GRPO
    # On-policy, a step's rows are all responses to its queries, and its rate is the sampler's.
    size = told["batch_size"] * (told["samples"] if on_policy else 1)
    config = UpdateConfig.model_validate(
        {
            **{name: told[name] for name in ("method", "precision", "tune", "gradient_checkpointing")},
            **({} if on_policy else {"learning_rate": rate, "epochs": 1}),
            "batch_size": size,
            "sampler": {
                "steps": steps,
                "queries": told["batch_size"],
                "samples": told["samples"],
                "learning_rate": rate,
                "engine": told["engine"],
            },
            "watch": {"queries": 0, "checkpoints": 1},
        }
    )
    return Job(
        base=model,
        champion=model,
        method=config.method,
        config=config,
        examples=[_example(config.method, row, told["max_tokens"]) for row in told["rows"]],
        holdout=[],
        seed=told["seed"],
        folder=folder,
        scratch=folder.with_name(".trainer"),
    )


def _example(method: Method, row: Mapping[str, Any], max_tokens: int) -> Example:
    match method:
        case Method.RAFT:
            return Best(row["messages"], row["right"], WEIGHT)
        case Method.DPO:
            return Preference(row["messages"], row["right"], row["wrong"])
        case _:
            return Question(row["messages"], "tickets", row["id"], max_tokens)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
