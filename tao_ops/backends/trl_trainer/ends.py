"""Tokens that end an answer."""

from typing import Any

_ANSWER = "An answer."


def of_answers(model: Any, tokenizer: Any) -> list[int]:
    """The tokens at which a model's own answers end: the tokenizer's, and those of the model's generation settings."""
    told = getattr(model.generation_config, "eos_token_id", None)
    listed = [] if told is None else [told] if isinstance(told, int) else list(told)
    return list(dict.fromkeys([tokenizer.eos_token_id, *listed]))


def of_turns(tokenizer: Any) -> int:
    """The token that the chat template puts after an assistant's message; where it puts none, the tokenizer's own."""
    messages = [{"role": "user", "content": "A question."}, {"role": "assistant", "content": _ANSWER}]
    _, _, rest = tokenizer.apply_chat_template(messages, tokenize=False).rpartition(_ANSWER)
    special = {token for token, told in tokenizer.added_tokens_decoder.items() if told.special}
    ids = tokenizer.encode(rest, add_special_tokens=False)
    return int(next((token for token in ids if token in special), tokenizer.eos_token_id))


def cut(answer: list[int], ends: list[int]) -> list[int]:
    """An answer up to its first end, which is a part of it.

    >>> cut([5, 6, 2, 2], ends=[2, 9])
    [5, 6, 2]
    >>> cut([5, 6], ends=[2, 9])
    [5, 6]
    """
    at = next((i for i, token in enumerate(answer) if token in ends), len(answer))
    return answer[: at + 1]
