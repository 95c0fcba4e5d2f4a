"""Conversations as tokens, and several of them as one batch."""

from collections.abc import Sequence
from typing import Any

from tao_ops.records import Message


def prompt_ids(messages: Sequence[Message], tokenizer: Any) -> list[int]:
    """The tokens of a prompt, up to where the answer begins."""
    ids: list[int] = tokenizer.apply_chat_template(
        list(messages), add_generation_prompt=True, tokenize=True, return_dict=False
    )
    return ids


def left_padded(rows: Sequence[Sequence[int]], pad: int, device: Any) -> tuple[Any, Any]:
    """Rows of tokens that end together, and the mask of what is no padding: two tensors, rows × longest."""
    import torch

    longest = max(map(len, rows))
    ids = torch.tensor([[pad] * (longest - len(row)) + list(row) for row in rows], device=device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], device=device)
    return ids, mask
