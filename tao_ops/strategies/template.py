"""``template``: a template of your own in the place of the production prompt."""

from collections.abc import Mapping
from typing import ClassVar

from tao_ops.strategies.chain_of_thought import ChainOfThought
from tao_ops.strategies.rendering import Fields


class OwnTemplate(ChainOfThought):
    """A file is all that it takes: no code, no registry.

    Unlike the others it need not hold the production prompt: it may say the task in its own words.
    """

    steps: ClassVar[Mapping[str, Fields]] = {"ask": Fields(optional=("prompt", "query"))}
