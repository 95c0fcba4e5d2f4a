"""``plain``: the production prompt, nothing else; several samples of what users get."""

from tao_ops import prompts
from tao_ops.records import Prompt
from tao_ops.strategies import Ask


class Plain:
    """Best-of-n over the production prompt itself (Stiennon et al., arXiv 2009.01325)."""

    name = "plain"

    def __init__(self, prompt: str) -> None:
        self._prompt = prompt
        self.version = prompts.digest(prompt)

    def asks(self, prompt: Prompt, samples: int) -> list[Ask]:
        """One conversation, sampled ``samples`` times."""
        return [Ask(prompts.production(self._prompt, prompt.messages), samples)]
