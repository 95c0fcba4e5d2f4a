"""Which queries fit into the model's context under the production prompt."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tao_ops import prompts
from tao_ops.errors import ModelError
from tao_ops.records import Message

_TEMPLATE_TOKENS, _MESSAGE_TOKENS = 64, 16
"""More than any chat template is known to add, once and for each message."""


class Context:
    """Measures conversations against a context.

    No token of a byte-level vocabulary is shorter than a byte, so a text that has fewer bytes than there is room is
    never tokenised: the model's tokenizer is loaded for long ones only.

    Args:
        size: of the context, in tokens.
        max_tokens: of the response to come.
        prompt: the production prompt.
        model: gives the folder of the model, where it is needed.
    """

    def __init__(self, size: int, max_tokens: int, prompt: str, model: Callable[[], Path]) -> None:
        self._room, self._prompt, self._model = size - max_tokens, prompt, model
        self._tokenizer: Any = None

    def excess(self, messages: Sequence[Message]) -> int:
        """Tokens that the conversation has too many; 0 where it fits.

        Raises:
            ModelError: the model's tokenizer cannot be read.
        """
        conversation = prompts.production(self._prompt, messages)
        most = _TEMPLATE_TOKENS + sum(_MESSAGE_TOKENS + len(m["content"].encode()) for m in conversation)
        return 0 if most <= self._room else max(0, self._count(conversation) - self._room)

    def _count(self, conversation: Sequence[Message]) -> int:
        if self._tokenizer is None:
            from transformers import AutoTokenizer

            folder = self._model()
            try:
                self._tokenizer = AutoTokenizer.from_pretrained(folder)
            except (OSError, ValueError) as error:
                raise ModelError(f"the tokenizer cannot be read: {error}", where=folder) from None
        ids = self._tokenizer.apply_chat_template(
            list(conversation), add_generation_prompt=True, tokenize=True, return_dict=False
        )
        return len(ids)
