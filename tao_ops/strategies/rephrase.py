"""``rephrase``: the query in other words, then the production prompt on these."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from tao_ops import prompts
from tao_ops.records import Message, Prompt
from tao_ops.strategies.rendering import Fields, Templated


class Rephrase(Templated):
    """Rephrase and respond, in two steps (Deng et al., arXiv 2311.04205)."""

    calls = 2
    steps: ClassVar[Mapping[str, Fields]] = {"rephrase": Fields(required=("query",), optional=("prompt",))}

    def conversation(self, prompt: Prompt, sample: int, said: Sequence[str]) -> list[Message]:
        """The request for other words, without a system message; then the production prompt on these words.

        Where no words came back, the query itself stays.
        """
        *before, last = prompt.messages
        if not said:
            return [*before, {**last, "content": self._render("rephrase", prompt)}]
        return prompts.production(self._prompt, [*before, {**last, "content": said[0].strip() or prompt.text}])
