"""Strategies' calls on an engine: all responses of a round together, call by call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from tao_ops.config import StrategyConfig
from tao_ops.records import Completion, Message, Prompt, Sampling
from tao_ops.strategies import Strategy


class Generates(Protocol):
    """The part of an engine that exploration needs."""

    def generate(
        self, conversations: Sequence[Sequence[Message]], sampling: Sequence[Sampling] | Sampling
    ) -> list[list[Completion]]:
        """Responses for each conversation; an empty list where it does not fit into the context."""
        ...


@dataclass(frozen=True)
class Way:
    """A strategy of a task, as the YAML configures it.

    Attributes:
        config: how often and how hot.
        strategy: what it asks.
        max_tokens: longest response of each of its calls.
    """

    config: StrategyConfig
    strategy: Strategy
    max_tokens: int

    @property
    def name(self) -> str:
        """The strategy's name."""
        return self.config.name

    @property
    def bound(self) -> int:
        """The most tokens that one response can cost."""
        return self.strategy.calls * self.max_tokens

    def sampling(self, sample: int, call: int) -> Sampling:
        """How one call of one response is sampled."""
        ladder = self.config.temperature
        # The next rung after each round through the ladder: else a strategy that asks differently from sample to
        # sample would ask one of its conversations at one temperature only.
        temperature = ladder[(sample + sample // len(ladder)) % len(ladder)]
        last = call == self.strategy.calls - 1
        structure = self.strategy.structure if last else None
        return Sampling(1, temperature, self.config.top_p, self.max_tokens, structure)


@dataclass(frozen=True)
class Wanted:
    """One response to be sampled: the ``sample``-th of this query by this strategy, in that round."""

    prompt: Prompt
    way: Way
    sample: int
    round: int


@dataclass(frozen=True)
class Response:
    """One response, and what it cost.

    Attributes:
        completion: the last call's.
        answer: the final answer in it; empty where there is none.
        tokens: sampled in all calls.
    """

    wanted: Wanted
    completion: Completion
    answer: str
    tokens: int

    @property
    def temperature(self) -> float:
        """At which its last call was sampled."""
        return self.wanted.way.sampling(self.wanted.sample, self.wanted.way.strategy.calls - 1).temperature


Sample = Callable[[Sequence[Wanted]], tuple[list[Response], list[Wanted], int]]
"""Samples a round: what :func:`sample` does on an engine."""


@dataclass
class _Chain:
    """A response on its way through its strategy's calls."""

    wanted: Wanted
    said: list[str] = field(default_factory=list)
    completion: Completion | None = None
    tokens: int = 0
    fits: bool = True

    @property
    def open(self) -> bool:
        return self.fits and len(self.said) < self.wanted.way.strategy.calls


def sample(engine: Generates, wanted: Sequence[Wanted]) -> tuple[list[Response], list[Wanted], int]:
    """Sample the wanted responses.

    The same call of all of them goes to the engine at once; equal conversations are one request with several samples.

    Returns:
        Responses in the order of ``wanted``; those whose conversation did not fit into the context; all tokens that
        were sampled, those of responses that came to nothing among them.
    """
    chains, before = [_Chain(one) for one in wanted], _used(engine)
    while open_ := [chain for chain in chains if chain.open]:
        _call(engine, open_)
    responses = [
        Response(c.wanted, c.completion, c.wanted.way.strategy.answer(c.completion.text), c.tokens)
        for c in chains
        if c.fits and c.completion is not None
    ]
    # A server may sample what is then found to be too long: that is spent too.
    tokens = max(sum(chain.tokens for chain in chains), _used(engine) - before)
    return responses, [chain.wanted for chain in chains if not chain.fits], tokens


def _used(engine: Generates) -> int:
    usage = getattr(engine, "usage", None)
    return 0 if usage is None else int(usage.response_tokens)


def _call(engine: Generates, chains: Sequence[_Chain]) -> None:
    groups: dict[tuple[object, ...], list[_Chain]] = {}
    conversations: dict[tuple[object, ...], tuple[list[Message], Sampling]] = {}
    for chain in chains:
        wanted = chain.wanted
        messages = wanted.way.strategy.conversation(wanted.prompt, wanted.sample, chain.said)
        sampling = wanted.way.sampling(wanted.sample, len(chain.said))
        key = (*((m["role"], m["content"]) for m in messages), sampling)
        groups.setdefault(key, []).append(chain)
        conversations.setdefault(key, (messages, sampling))
    asked = [messages for messages, _ in conversations.values()]
    how = [
        # A greedy response is the same each time: it is sampled once and stands for all.
        replace(sampling, samples=len(groups[key]) if sampling.temperature else 1)
        for key, (_, sampling) in conversations.items()
    ]
    for key, completions in zip(conversations, engine.generate(asked, how), strict=True):
        _take(groups[key], completions)


def _take(chains: Sequence[_Chain], completions: Sequence[Completion]) -> None:
    for i, chain in enumerate(chains):
        if not completions:
            chain.fits = False
            continue
        completion = completions[min(i, len(completions) - 1)]
        chain.said.append(completion.text)
        chain.completion = completion
        chain.tokens += completion.tokens if i < len(completions) else 0
