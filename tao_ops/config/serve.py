"""How a flywheel's champion is served, and what is kept of what it is asked."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, model_validator

from tao_ops.config.base import Duration, Share, Strict


class CaptureConfig(Strict):
    """What is written of requests and responses: segment files, which a source of format ``captured`` reads."""

    path: str | None = None
    """Folder of the segments; ``${NAME}`` is replaced. None: ``captured/<flywheel>`` of ``$TAO_HOME``."""
    sample: Share = 1.0
    """Share of the requests that are written, by a digest of the user: of one user all, or none."""
    sync: Literal["batch", "interval"] = "batch"
    """When written lines are flushed to the disk itself: after each batch, or each ``interval``."""
    interval: Duration = timedelta(seconds=1)
    """Longest time between a response and its line's write; with ``sync: interval`` its flush too."""
    buffer_mib: int = Field(default=64, ge=1)
    """Memory of what waits for the writer; a record that finds it full is dropped and counted."""
    record_kib: int = Field(default=1024, ge=1)
    """Longest request and response together; a longer one is not written, and counted."""
    segment_mib: int = Field(default=64, ge=1)
    """A segment file that is longer is closed, and another begun."""
    segment_age: Duration = timedelta(minutes=10)
    """As is one that is older."""


class RequestLimits(Strict):
    """What one key, or without keys everybody together, may ask for."""

    requests_a_minute: int = Field(default=600, ge=1)
    burst: int = Field(default=100, ge=1)
    """Requests at once above the rate."""
    body_kib: int = Field(default=1024, ge=1)
    concurrent: int = Field(default=64, ge=1)
    """Requests of one key under way at once."""
    seconds: float = Field(default=600.0, gt=0.0)
    """Longest time of one request."""


class CanaryLimits(Strict):
    """What the candidate may be worse by while it answers a share of the users, before it is taken back.

    Shares are judged by one-sided tests on both arms' counts, at ``alpha``.
    """

    alpha: float = Field(default=0.01, gt=0.0, lt=0.5)
    errors: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of failed requests above the champion's."""
    refusals: float = Field(default=0.02, ge=0.0, le=1.0)
    invalid: float = Field(default=0.02, ge=0.0, le=1.0)
    """Share of responses of the wrong format, where a task has a schema."""
    incorrect: float = Field(default=0.02, ge=0.0, le=1.0)
    """Share of responses that the task's verifiers find wrong, where it has any."""
    slower: float = Field(default=1.5, ge=1.0)
    """Times the champion's 95th percentile of seconds for a response."""
    longer: float = Field(default=1.5, ge=1.0)
    """Times the champion's mean tokens of a response."""


class CanaryConfig(Strict):
    """A share of the users is answered by the candidate for a while before it becomes the champion."""

    share: Share = 0.1
    """Of the users, by a digest: one user is answered by one model."""
    shadow: Share = 0.0
    """Of the champion's requests, copied to the candidate, whose answers no user sees. They count as the candidate's;
    with ``share: 0`` they alone."""
    time: Duration = timedelta(hours=1)
    """How long at least."""
    requests: int = Field(default=200, ge=1)
    """How many requests of each arm at least."""
    limit: Duration = timedelta(hours=24)
    """A canary that has not seen enough requests by then ends, and the champion stays."""
    limits: CanaryLimits = CanaryLimits()

    @model_validator(mode="after")
    def _both_asked(self) -> Self:
        if not self.share and not self.shadow:
            raise ValueError("'share' and 'shadow' are 0: nobody would ask the candidate")
        if self.share == 1.0:
            raise ValueError("'share' is 1: nobody would ask the champion, and there is nothing to compare with")
        return self


class ServeConfig(Strict):
    """``tao serve``."""

    prompt: Literal["server", "client"] = "server"
    """Who puts the task's production prompt before a conversation: one of them, once."""
    keys: str | None = None
    """File of hashed API keys, made by ``tao server keys add``; ``${NAME}`` is replaced. None: no key is asked for, and
    the server listens on loopback only."""
    batch: int = Field(default=32, ge=1)
    """Most responses that the engine samples at once."""
    drain: Duration = timedelta(seconds=60)
    """How long new requests wait for those under way before a swap of the weights; after it the swap is put off."""
    deployed: Duration = timedelta(minutes=30)
    """How long the DAG's task ``deployed`` waits for the servers."""
    capture: CaptureConfig | None = CaptureConfig()
    """None: nothing is written."""
    limits: RequestLimits = RequestLimits()
    canary: CanaryConfig | None = None
    """None: a promoted version answers all at once."""
