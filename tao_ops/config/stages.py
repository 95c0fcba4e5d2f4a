"""How the stages of a flywheel work."""

from datetime import timedelta
from enum import StrEnum
from typing import Literal

from pydantic import Field

from tao_ops.config.base import Duration, Share, Strict


class IngestConfig(Strict):
    """How logs are taken."""

    lateness: Duration = timedelta(days=2)
    """How far a turn looks back for queries that were logged after their own turn ran."""


class ValidateConfig(Strict):
    """How queries become prompts."""

    holdout: Share = 0.1
    """Share of the queries that are kept away from training for ever."""


class GenerateConfig(Strict):
    """How responses are sampled."""

    shards: int = Field(default=1, ge=1, le=512)
    """Parts of a turn that run side by side: as many as there are workers."""


class Method(StrEnum):
    """How the update learns from scored responses."""

    RAFT = "raft"
    """Fine-tune on the best of n responses (reward-ranked fine-tuning, arXiv 2304.06767)."""


class UpdateConfig(Strict):
    """How the candidate is trained."""

    method: Method = Method.RAFT
    window: int = Field(default=1, ge=1)
    """Turns whose responses are trained on, this one among them."""
    min_reward: Share = 0.5
    """A best response below this is not trained on."""
    min_rows: int = Field(default=8, ge=1)
    """Fewer rows than this fail the stage."""
    epochs: int = Field(default=3, ge=1)
    batch_size: int = Field(default=8, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    lora_rank: int = Field(default=16, ge=1)
    lora_alpha: int = Field(default=32, ge=1)
    precision: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of training; the merged model is always kept in the champion's own."""


class EvaluateConfig(Strict):
    """How models are compared."""

    control: str | None = "demonstrations"
    """A strategy whose prompt, around the champion, is shown beside the candidate."""


class GateConfig(Strict):
    """What a promotion needs."""

    alpha: float = Field(default=0.05, gt=0, lt=1)
    margin: Share = 0.0
    """The primary benchmark must rise by more than this."""
    tolerance: Share = 0.02
    """No other benchmark may fall by more than this."""


class RetentionConfig(Strict):
    """How long the rows of a table are kept, by the end of their turn; without a value, for ever."""

    queries: Duration | None = None
    quarantine: Duration | None = None
    prompts: Duration | None = None
    responses: Duration | None = None
    rewards: Duration | None = None
