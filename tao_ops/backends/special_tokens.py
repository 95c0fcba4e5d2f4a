"""What a text says in the words of a tokenizer's own signs is text, and never one of them."""

import re
from collections.abc import Sequence
from typing import Any

from tao_ops.records import Message


def disarmed(tokenizer: Any, messages: Sequence[Message]) -> list[Message]:
    """A conversation whose contents hold none of the tokenizer's special tokens: a blank breaks each that is spelled.

    Else a response that spells the end of its turn could go on in another's name.
    """
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    if not special:
        return list(messages)
    spelled = re.compile("|".join(re.escape(token) for token in sorted(special, key=lambda t: (-len(t), t))))
    return [
        {"role": message["role"], "content": spelled.sub(lambda found: f"{found[0][0]} {found[0][1:]}", content)}
        for message in messages
        for content in [message["content"]]
    ]
