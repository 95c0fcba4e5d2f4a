"""``length``: the answer is shorter or longer than it should be, in words."""

from collections.abc import Sequence

from tao_ops.config import LengthConfig
from tao_ops.records import Candidate
from tao_ops.rewards.flags.words import count

LONG_WORD = 30
"""An answer is at least as many words long as this many characters go into it: one endless word is not short."""


def marks(config: LengthConfig, batch: Sequence[Candidate]) -> list[bool]:
    """Whether each answer has fewer words than ``least``, or more than ``most``.

    Words are counted as :func:`tao_ops.rewards.flags.words.count` does, keys of a JSON answer among them. Blanks,
    signs and emoji are no words, but an answer full of them is too long all the same.

    >>> config = LengthConfig(kind="length", name="length", least=2, most=4)
    >>> texts = ["Late.", "It is late.", "It is late, as it ever was.", "!" * 200]
    >>> marks(config, [Candidate("q", "", text) for text in texts])
    [True, False, True, True]
    """
    return [_wrong(config, candidate.text) for candidate in batch]


def _wrong(config: LengthConfig, text: str) -> bool:
    words = count(text)
    if words < config.least:
        return True
    return config.most is not None and max(words, len(text) // LONG_WORD) > config.most
