"""One request and its response, and the headers by which both say whose they are."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

REQUEST_ID = "x-request-id"
"""On every response; ``POST /v1/feedback`` takes it."""
VERSION = "x-tao-version"
"""On every response of a model: the registry's version that made it; 0 is the base model."""
MODEL = "x-tao-model"
"""Beside it: the digest of that model's files."""
ARM = "x-tao-arm"
"""Beside it: an :class:`Arm`."""
TASK = "x-tao-task"
"""Beside it: the flywheel's task that the request was taken for."""
CAPTURE = "x-tao-capture"
"""On a request, ``off``: neither it nor its response is written."""


class Arm(StrEnum):
    """Who answered."""

    CHAMPION = "champion"
    CANDIDATE = "candidate"
    """A canary's: its answer went to the user."""
    SHADOW = "shadow"
    """The same, to nobody."""


@dataclass(frozen=True)
class Exchange:
    """A request to a chat or text completion, and what came of it.

    Attributes:
        request_id: as in the response's header.
        received_at: in UTC.
        route: the path, ``/v1/chat/completions``.
        status: HTTP's; 0 where no response began.
        request: the body as the client sent it, without the server's prompt.
        response: the body; of a stream the same, put together from its chunks. None where there was none.
        whole: whether the response came to its end; not where the client went away or the engine broke.
        user: as the client named it, in clear; never written.
        task: the flywheel's, where it is known.
        version: of the model that answered, with its digest ``model_version``.
        seconds: from the request's first byte to the response's last.
        first_seconds: to the response's first byte of body.
        prompt_tokens: as the engine counted them.
        tokens: sampled ones.
    """

    request_id: str
    received_at: datetime
    route: str
    status: int
    request: dict[str, Any]
    response: dict[str, Any] | None
    whole: bool
    user: str | None
    task: str | None
    arm: Arm
    version: int | None
    model_version: str | None
    seconds: float
    first_seconds: float | None
    prompt_tokens: int | None
    tokens: int | None

    @property
    def answered(self) -> bool:
        """Whether the user has a whole answer."""
        return self.whole and self.status == 200 and self.response is not None
