"""The records that stages hand to strategies, rewards and benchmarks, and the report of a stage."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, TypedDict


class Message(TypedDict):
    """One message of a chat."""

    role: str
    content: str


class Split(StrEnum):
    """What a query may be used for, for ever."""

    TRAIN = "train"
    """May be trained on."""
    HOLDOUT = "holdout"
    """Never trained on."""


@dataclass(frozen=True)
class Prompt:
    """A clean query: the conversation up to the last user message, without any system prompt."""

    query_id: str
    task: str
    messages: tuple[Message, ...]

    @property
    def text(self) -> str:
        """The last user message."""
        return self.messages[-1]["content"]

    @property
    def context(self) -> str:
        """What was said before the last user message."""
        return "\n\n".join(message["content"] for message in self.messages[:-1])


@dataclass(frozen=True)
class Candidate:
    """One response to be scored.

    Attributes:
        query_id: of the query that it answers.
        query: the last user message.
        text: the answer.
        strategy: how it was found.
        context: what was said before the last user message, in one text.
        reference: a right answer, where one is known.
        votes: whether it counts where candidates are compared with each other: a probe does not.
    """

    query_id: str
    query: str
    text: str
    strategy: str = ""
    context: str = ""
    reference: str | None = None
    votes: bool = True


@dataclass(frozen=True)
class Structure:
    """What every response must be: a JSON schema, or a grammar in EBNF; one of them, as its text."""

    json_schema: str | None = None
    grammar: str | None = None


@dataclass(frozen=True)
class Sampling:
    """How an engine samples: one greedy response where ``temperature`` is 0."""

    samples: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 64
    structure: Structure | None = None
    """The engine samples only tokens that keep the response within it."""


@dataclass(frozen=True)
class Completion:
    """One sampled response.

    Attributes:
        token_ids: the sampled tokens, end token included; empty where a server does not tell them.
        logprobs: natural log-probability of each sampled token under the sampling model; empty where not told.
        finish_reason: ``stop`` or ``length``.
        tokens: how many tokens were sampled.
    """

    text: str
    token_ids: Sequence[int]
    logprobs: Sequence[float]
    finish_reason: str
    tokens: int


@dataclass(frozen=True)
class ModelRef:
    """A model in a folder, by the digest of its content.

    Attributes:
        path: folder in the Hugging Face layout.
        model_version: first 16 hex digits of the content's SHA-256: the model's name in every table, since a
            candidate is scored before the registry numbers it.
        version: the registry's number; 0 is the base model, None a candidate without a number.
    """

    path: str
    model_version: str
    version: int | None = None


Progress = Callable[[str], None]
"""Takes one readable line of a stage's log."""


@dataclass
class StageReport:
    """What one stage did, as the task log, the table ``turns`` and ``tao turn show`` tell it."""

    stage: str
    rows_in: int = 0
    rows_out: int = 0
    seconds: float = 0.0
    tokens: int = 0
    metrics: dict[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, int] = field(default_factory=dict)
    """Versions of the tables that were read."""
    output_version: int | None = None
    shard: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values only: fit for JSON and for XCom."""
        return asdict(self)
