"""The production prompt around a conversation: the one rendering that generate, update and evaluate share."""

import hashlib
from collections.abc import Sequence

from tao_ops.records import Message


def production(prompt: str, messages: Sequence[Message]) -> list[Message]:
    """The conversation as it is served: the production prompt as the system message, then ``messages``."""
    return [{"role": "system", "content": prompt}, *messages]


def with_demonstrations(
    prompt: str, demonstrations: Sequence[Sequence[Message]], messages: Sequence[Message]
) -> list[Message]:
    """The production prompt, worked examples as chat turns, then ``messages``."""
    return [*production(prompt, [m for example in demonstrations for m in example]), *messages]


def digest(text: str) -> str:
    """First 16 hex digits of the SHA-256: a prompt's version."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
