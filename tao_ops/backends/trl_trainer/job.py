"""What a training run is given, and what it tells as it goes."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tao_ops.config import Method, UpdateConfig
from tao_ops.records import Message, ModelRef


@dataclass(frozen=True)
class Best:
    """A response to learn, under the production prompt (``raft``)."""

    messages: Sequence[Message]
    response: str
    weight: float = 1.0


@dataclass(frozen=True)
class Preference:
    """A better and a worse response (``dpo``)."""

    messages: Sequence[Message]
    chosen: str
    rejected: str


@dataclass(frozen=True)
class Judged:
    """A response that is good, or bad (``kto``)."""

    messages: Sequence[Message]
    response: str
    good: bool


@dataclass(frozen=True)
class Group:
    """Stored responses to one query, with their rewards (``grpo_offline``)."""

    messages: Sequence[Message]
    responses: Sequence[str]
    rewards: Sequence[float]


@dataclass(frozen=True)
class Question:
    """A query that the model in training answers itself (``grpo``, and the holdout)."""

    messages: Sequence[Message]
    task: str
    query_id: str
    max_tokens: int


Example = Best | Preference | Judged | Group | Question

Rewarder = Callable[[Sequence[Question], Sequence[str]], list[float | None]]
"""Rewards of responses, each beside its question; those to one query are a pool."""
Sink = Callable[[int, Mapping[str, float]], None]
"""Takes a step's figures."""


@dataclass(frozen=True)
class Job:
    """One training run.

    Attributes:
        base: where training starts.
        champion: what divergence is measured from.
        examples: of the kind that ``method`` learns from.
        holdout: queries that are measured on, and never trained on.
        folder: the candidate is written here.
        scratch: checkpoints; it outlives a killed run, and is removed by one that ends well.
    """

    base: ModelRef
    champion: ModelRef
    method: Method
    config: UpdateConfig
    examples: Sequence[Example]
    holdout: Sequence[Question]
    seed: int
    folder: Path
    scratch: Path

    @property
    def fingerprint(self) -> str:
        """Of all that shapes the run but the models: a checkpoint of another is of no use."""
        told = {
            "method": self.method,
            "config": self.config.model_dump(mode="json"),
            "examples": [asdict(example) for example in self.examples],
            "holdout": [asdict(question) for question in self.holdout],
            "seed": self.seed,
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
