"""``chain_of_thought``: reason first, answer last."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from tao_ops.records import Message, Prompt
from tao_ops.strategies.rendering import Fields, Templated


class ChainOfThought(Templated):
    """Step by step (Wei et al., arXiv 2201.11903), asked for without examples (Kojima et al., arXiv 2205.11916)."""

    steps: ClassVar[Mapping[str, Fields]] = {"ask": Fields(required=("prompt",), optional=("query",))}

    def conversation(self, prompt: Prompt, sample: int, said: Sequence[str]) -> list[Message]:
        """The template around the production prompt, then the query's messages."""
        return self._under("ask", prompt)
