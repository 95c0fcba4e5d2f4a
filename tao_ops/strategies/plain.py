"""``plain``: the production prompt, nothing else; several samples of what users get."""

from collections.abc import Sequence

from tao_ops import prompts
from tao_ops.records import Message, Prompt
from tao_ops.strategies.base import Base


class Plain(Base):
    """Best-of-n over the production prompt itself (Stiennon et al., arXiv 2009.01325)."""

    def conversation(self, prompt: Prompt, sample: int, said: Sequence[str]) -> list[Message]:
        """The conversation as it is served."""
        return prompts.production(self._prompt, prompt.messages)
