"""``critique_revise``: draft, criticise, revise."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from tao_ops import prompts
from tao_ops.records import Message, Prompt
from tao_ops.strategies.rendering import Fields, Templated


class CritiqueRevise(Templated):
    """One round of Self-Refine (Madaan et al., arXiv 2303.17651), in one conversation of three calls."""

    calls = 3
    steps: ClassVar[Mapping[str, Fields]] = {
        "critique": Fields(optional=("prompt", "query", "draft")),
        "revise": Fields(optional=("prompt", "query", "draft", "critique")),
    }

    def conversation(self, prompt: Prompt, sample: int, said: Sequence[str]) -> list[Message]:
        """The conversation as it is served; then the draft and the request for a critique; then that for a revision."""
        messages = prompts.production(self._prompt, prompt.messages)
        known: dict[str, str] = {}
        for text, what, step in zip(said, ("draft", "critique"), self.steps, strict=False):
            known[what] = text
            messages.append({"role": "assistant", "content": text})
            messages.append({"role": "user", "content": self._render(step, prompt, **known)})
        return messages
