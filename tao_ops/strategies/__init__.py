"""How to explore: one file per strategy, each a way to ask the champion for better answers.

A strategy sees the query alone; the update always trains on the production prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tao_ops.config import Flywheel
from tao_ops.records import Message, Prompt


@dataclass(frozen=True)
class Ask:
    """One conversation to sample from, and how often."""

    messages: Sequence[Message]
    samples: int


class Strategy(Protocol):
    """What a strategy promises."""

    name: str
    version: str
    """Digest of everything that shapes its conversations."""

    def asks(self, prompt: Prompt, samples: int) -> list[Ask]:
        """Conversations whose ``samples`` add up to ``samples``."""
        ...


def build(flywheel: Flywheel, task: str, *, seed: int) -> dict[str, Strategy]:
    """The strategies of a task by name.

    Raises:
        ConfigError: a file of worked examples cannot be used.
    """
    from tao_ops.strategies.demonstrations import Demonstrations
    from tao_ops.strategies.plain import Plain

    prompt = flywheel.prompt(task)
    built: dict[str, Strategy] = {}
    for config in flywheel.tasks[task].strategies:
        if config.file is None:
            built[config.name] = Plain(prompt)
        else:
            built[config.name] = Demonstrations(prompt, flywheel.file(config.file), seed=seed)
    return built
