"""How the stages of a flywheel work."""

import re
from datetime import timedelta
from enum import StrEnum
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tao_ops.config.base import Duration, Share, Strict
from tao_ops.config.connections import ConnectionId


class IngestConfig(Strict):
    """How logs are taken."""

    lateness: Duration = timedelta(days=2)
    """How far a turn looks back for queries that were logged after their own turn ran."""


class ValidateConfig(Strict):
    """How queries become prompts."""

    holdout: Share = 0.1
    """Share of the queries that are kept away from training for ever."""


class EngineConfig(Strict):
    """The engine that generate and evaluate sample with."""

    context: int = Field(default=2048, ge=64)
    """Longest conversation and response together, in tokens."""
    tensor_parallel: int = Field(default=1, ge=1)
    """GPUs that one model is spread over."""
    gpu_memory: float = Field(default=0.9, gt=0.0, le=1.0)
    """Share of a GPU's memory that weights, keys and values may take."""
    cpu_cache_gib: int = Field(default=2, ge=1)
    """Memory of keys and values on a CPU, in GiB."""
    batch: int = Field(default=256, ge=1)
    """Most responses that are sampled at once."""


class PriceConfig(Strict):
    """What a server's tokens cost, per million, in whatever currency."""

    prompt: float = Field(default=0.0, ge=0.0)
    response: float = Field(default=0.0, ge=0.0)


class ServerConfig(Strict):
    """An OpenAI-compatible server that answers in the place of the local engine."""

    url: str = Field(pattern=r"^https?://")
    """Its base, which ``/chat/completions`` follows: ``http://127.0.0.1:8000/v1``."""
    model: str
    """As the server calls it."""
    api_key: str | None = None
    """``${NAME}`` of the environment; never the key itself, which would stand in every digest and log of the YAML."""
    connection: ConnectionId | None = None
    """A Connection of Airflow whose password is the key; in the place of ``api_key``."""
    concurrency: int = Field(default=16, ge=1, le=1024)
    """Requests under way at once."""
    timeout: float = Field(default=120.0, gt=0.0, le=3600.0)
    """Seconds that one request may take."""
    attempts: int = Field(default=5, ge=1, le=20)
    """Tries of one request, where trying again can help."""
    price: PriceConfig = PriceConfig()

    @field_validator("url")
    @classmethod
    def _no_secret(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.username or parts.password or parts.query or parts.fragment:
            raise PydanticCustomError("secret", "'url' holds more than an address: no user, no '?', no '#'")
        return value

    @field_validator("api_key", mode="before")
    @classmethod
    def _no_key(cls, value: object) -> object:
        if value is not None and not re.fullmatch(r"\$\{\w+\}", str(value)):
            raise PydanticCustomError("secret", "'api_key' names a variable of the environment, as ${NAME}")
        return value

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if self.api_key is not None and self.connection is not None:
            raise ValueError("'api_key' and 'connection' both name a key")
        return self


class Policy(StrEnum):
    """Which queries and strategies get samples."""

    ADAPTIVE = "adaptive"
    """In rounds: those that are settled get no more, strategies get samples by their yield."""
    UNIFORM = "uniform"
    """Every query gets ``samples`` of every strategy."""


class BudgetConfig(Strict):
    """The most that a turn may spend on exploration; at least one of the two."""

    samples: int | None = Field(default=None, ge=1)
    """Responses, whatever calls a strategy makes for one."""
    tokens: int | None = Field(default=None, ge=1)
    """Sampled tokens, those of drafts, plans and critiques among them."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.samples is None and self.tokens is None:
            raise ValueError("a budget needs 'samples' or 'tokens'")
        return self


class GenerateConfig(Strict):
    """How responses are sampled."""

    shards: int = Field(default=1, ge=1, le=512)
    """Parts of a turn that run side by side: as many as there are workers."""
    policy: Policy = Policy.ADAPTIVE
    budget: BudgetConfig | None = None
    """None: only the strategies' ``samples`` bound what is spent."""
    first: int = Field(default=1, ge=1)
    """Samples of each query in the first round."""
    confidence: float = Field(default=0.9, gt=0.5, lt=1.0)
    """A query is settled once its leading answer is the majority with this probability."""
    floor: float = Field(default=0.05, gt=0.0, lt=1.0)
    """Least share of the samples that is spread evenly over all strategies, so that none dies."""
    history: int = Field(default=7, ge=0)
    """Earlier turns whose yields count, each half as much as the one after it."""
    adapter: str | None = None
    """A LoRA adapter's folder: responses are sampled from the champion with it."""
    server: ServerConfig | None = None
    """Responses come from this server, and not from the champion."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.adapter is not None and self.server is not None:
            raise ValueError("'adapter' is for the local engine: a server has its own")
        return self


class EvaluateConfig(Strict):
    """How models are compared."""

    control: str | None = "demonstrations"
    """A strategy whose prompt, around the champion, is shown beside the candidate."""


class RetentionConfig(Strict):
    """How long the rows of a table are kept, by the end of their turn; without a value, for ever."""

    queries: Duration | None = None
    quarantine: Duration | None = None
    prompts: Duration | None = None
    responses: Duration | None = None
    rewards: Duration | None = None
    versions: int | None = Field(default=None, ge=1)
    """Newest versions whose weights are kept, beside the champion, the one before it, and those that they began at."""
