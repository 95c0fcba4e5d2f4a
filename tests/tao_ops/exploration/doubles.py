"""A task with strategies of known worth, and an engine that answers by rule."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tao_ops.config import ConsensusConfig, JsonSchemaConfig, ScorerConfig, StrategyConfig
from tao_ops.exploration import Explored, Way
from tao_ops.records import Completion, Message, Prompt, Sampling, Structure
from tao_ops.rewards import Setting, TaskScorers

SCORERS: tuple[ScorerConfig, ...] = (
    JsonSchemaConfig(kind="json_schema", name="json_schema", keys=("city",)),
    ConsensusConfig(kind="consensus", name="consensus", votes=2),
)


@dataclass
class Asks:
    """A strategy whose system message is its name; of several calls, each says what was said before."""

    name: str
    calls: int = 1
    version: str = "0123456789abcdef"
    structure: Structure | None = None

    def conversation(self, prompt: Prompt, sample: int, said: Sequence[str]) -> list[Message]:
        turns: list[Message] = [{"role": "system", "content": self.name}, *prompt.messages]
        return [*turns, *({"role": "assistant", "content": text} for text in said)]

    def answer(self, text: str) -> str:
        return text.strip()


@dataclass
class RuleEngine:
    """Each strategy is right with a probability of its own; what it answers else differs each time."""

    right: dict[str, float]
    tokens: int = 10
    too_long: frozenset[str] = frozenset()
    luck: random.Random = field(default_factory=lambda: random.Random(7))
    requests: list[tuple[Sequence[Message], Sampling]] = field(default_factory=list)

    def generate(
        self, conversations: Sequence[Sequence[Message]], sampling: Sequence[Sampling] | Sampling
    ) -> list[list[Completion]]:
        assert not isinstance(sampling, Sampling)
        self.requests += zip(conversations, sampling, strict=True)
        return [self._answers(c, s) for c, s in zip(conversations, sampling, strict=True)]

    def _answers(self, conversation: Sequence[Message], sampling: Sampling) -> list[Completion]:
        strategy = conversation[0]["content"]
        if strategy in self.too_long:
            return []
        tokens = min(self.tokens, sampling.max_tokens)
        return [
            Completion(self._text(strategy, conversation), [1] * tokens, [-0.1] * tokens, "stop", tokens)
            for _ in range(sampling.samples)
        ]

    def _text(self, strategy: str, conversation: Sequence[Message]) -> str:
        if self.luck.random() < self.right[strategy]:
            return json.dumps({"city": conversation[1]["content"]})
        return f"hm {self.luck.random()}"


def way(name: str, samples: int = 8, *, calls: int = 1, max_tokens: int = 20, **config: Any) -> Way:
    told = StrategyConfig.model_validate({"name": name, "kind": "plain", "samples": samples, **config})
    return Way(told, Asks(name, calls), max_tokens)


def prompts(n: int) -> list[Prompt]:
    return [Prompt(f"q{i}", "t", ({"role": "user", "content": f"Oslo {i}"},)) for i in range(n)]


def task(*ways: Way) -> dict[str, Explored]:
    return {"t": Explored(ways, TaskScorers(SCORERS, Setting(Path())))}
