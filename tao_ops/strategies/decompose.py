"""``decompose``: split into questions, answer them, answer last."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from tao_ops.records import Message, Prompt
from tao_ops.strategies.rendering import Fields, Templated


class Decompose(Templated):
    """Least-to-most and decomposed prompting (Zhou et al., arXiv 2205.10625; Khot et al., arXiv 2210.02406).

    All questions are answered in one call, so that a response takes two calls however many questions there are.
    """

    calls = 2
    steps: ClassVar[Mapping[str, Fields]] = {
        "parts": Fields(required=("prompt",), optional=("query",)),
        "ask": Fields(required=("prompt", "parts"), optional=("query",)),
    }

    def conversation(self, prompt: Prompt, sample: int, said: Sequence[str]) -> list[Message]:
        """The query's messages below the request for questions; then below the questions themselves."""
        return self._under("ask", prompt, parts=said[0].strip()) if said else self._under("parts", prompt)
