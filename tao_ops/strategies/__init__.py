"""How to explore: one file per strategy, each a way to ask the champion for better answers.

A strategy sees the query alone; the update always trains on the production prompt.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from tao_ops.config import Flywheel, StrategyKind
from tao_ops.records import Message, Prompt, Structure
from tao_ops.strategies.base import Given
from tao_ops.strategies.chain_of_thought import ChainOfThought
from tao_ops.strategies.critique_revise import CritiqueRevise
from tao_ops.strategies.decompose import Decompose
from tao_ops.strategies.demonstrations import Demonstrations
from tao_ops.strategies.plain import Plain
from tao_ops.strategies.plan import Plan
from tao_ops.strategies.rephrase import Rephrase
from tao_ops.strategies.structured import Structured
from tao_ops.strategies.template import OwnTemplate


class Strategy(Protocol):
    """What a strategy promises: it is pure, so that the same prompt, sample and seed ask the same."""

    name: str
    version: str
    """Digest of everything that shapes its conversations and answers."""
    calls: int
    """Calls of the engine that one response takes."""
    structure: Structure | None
    """What the last call's response must be."""

    def conversation(self, prompt: Prompt, sample: int, said: Sequence[str]) -> list[Message]:
        """The conversation of the next call.

        Args:
            prompt: the query.
            sample: number of the response among the query's responses of this strategy, from 0.
            said: what the calls before this one answered, ``len(said) < calls``.
        """
        ...

    def answer(self, text: str) -> str:
        """The final answer in the last call's text; empty where there is none."""
        ...


STRATEGIES: Mapping[StrategyKind, Callable[[Given], Strategy]] = {
    StrategyKind.PLAIN: Plain,
    StrategyKind.DEMONSTRATIONS: Demonstrations,
    StrategyKind.CHAIN_OF_THOUGHT: ChainOfThought,
    StrategyKind.PLAN: Plan,
    StrategyKind.CRITIQUE_REVISE: CritiqueRevise,
    StrategyKind.DECOMPOSE: Decompose,
    StrategyKind.STRUCTURED: Structured,
    StrategyKind.REPHRASE: Rephrase,
    StrategyKind.TEMPLATE: OwnTemplate,
}
"""What builds a strategy of each kind."""

_NONE: Mapping[str, Sequence[Sequence[Message]]] = {}


def build(
    flywheel: Flywheel, task: str, *, seed: int, bootstrapped: Mapping[str, Sequence[Sequence[Message]]] = _NONE
) -> dict[str, Strategy]:
    """The strategies of a task by name, in the order of the YAML.

    Args:
        seed: decides the orders of worked examples, and which of them are drawn.
        bootstrapped: worked examples out of earlier turns, by strategy; each goes from a user to an assistant.

    A strategy whose examples all come from earlier turns is left out while there are none.

    Raises:
        ConfigError: a template, a file of worked examples, a schema or a grammar cannot be used.
    """
    prompt = flywheel.prompt(task)
    built: dict[str, Strategy] = {}
    for config in flywheel.tasks[task].strategies:
        given = Given(flywheel, task, config, prompt, seed, bootstrapped.get(config.name, ()))
        strategy = STRATEGIES[config.kind](given)
        if not isinstance(strategy, Demonstrations) or strategy.examples:
            built[config.name] = strategy
    return built
