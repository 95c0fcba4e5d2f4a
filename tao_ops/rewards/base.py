"""What a scorer gives, and what it may be given."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tao_ops.config import EmbeddingConfig, JudgeConfig, RewardModelConfig
from tao_ops.records import Candidate, Message


@dataclass(frozen=True)
class Score:
    """What one scorer says of one candidate.

    Attributes:
        value: in [0, 1]; None where it could not decide.
        reason: why it could not, or why the value is what it is; may be empty with a value.

    >>> Score(0.5).decided, Score(None, "no reference").decided
    (True, False)
    """

    value: float | None
    reason: str = ""

    def __post_init__(self) -> None:
        if self.value is None and not self.reason:
            raise ValueError("a scorer that could not decide says why")
        if self.value is not None and not (math.isfinite(self.value) and 0.0 <= self.value <= 1.0):
            raise ValueError(f"{self.value} is no score from 0 to 1")

    @property
    def decided(self) -> bool:
        """Whether there is a value."""
        return self.value is not None


Scorer = Callable[[Sequence[Candidate]], list[Score]]
"""One score per candidate, in the batch's order; a query's candidates are in one batch."""


class Judge(Protocol):
    """A language model that is asked for one word."""

    def next_word(
        self, conversations: Sequence[Sequence[Message]], words: Sequence[str]
    ) -> list[Mapping[str, float] | str]:
        """For each conversation the natural log-probability that the answer begins with each of ``words``.

        A word that the model did not name among its likeliest is left out. In the place of the mapping stands a text,
        the reason, where the model gave none of them, or did not answer in time.
        """
        ...


class Models(Protocol):
    """The models that scorers ask; each is loaded when it is first wanted."""

    def judge(self, config: JudgeConfig) -> Judge:
        """The judge of a scorer."""
        ...

    def reward_model(self, config: RewardModelConfig) -> Callable[[Sequence[Sequence[Message]]], list[float | str]]:
        """A model that gives whole conversations, answers last, one number each, unbounded; or the reason of none."""
        ...

    def embed(self, config: EmbeddingConfig) -> Callable[[Sequence[str]], list[list[float]]]:
        """A model that gives texts unit vectors."""
        ...
