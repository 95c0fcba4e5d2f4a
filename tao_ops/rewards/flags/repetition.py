"""``repetition``: the answer says the same again and again."""

import re
import zlib
from collections.abc import Sequence

from tao_ops.config import RepetitionConfig
from tao_ops.records import Candidate
from tao_ops.rewards.flags.forms import json_texts
from tao_ops.rewards.flags.words import count, items

_LOOP = re.compile(r"(.{1,8}?)\1{15,}", re.DOTALL)
_LAYOUT = frozenset(" \t\n\r-=_─━")
_LINE = 80
"""Blanks, or signs that draw a line, are layout up to so many in a row."""
_REGULAR = 20
"""A longer answer that zlib makes this many times smaller is nothing but repetition; prose shrinks to a third."""
_LONG = 1000


def marks(config: RepetitionConfig, batch: Sequence[Candidate]) -> list[bool]:
    """Whether more than ``share`` of an answer is repetition, by words or by characters.

    By words: runs of ``words`` words that were there before, among all such runs (as Rae et al., arXiv 2112.11446,
    count duplicate n-grams); an answer with less than two such runs end to end says too little. By characters: those
    that stand in a loop of at most eight characters that comes sixteen times or more in a row, or in blanks without
    end. One that compresses to a twentieth is marked, too. Of a JSON answer the texts count, each by itself, since
    keys and numbers repeat by nature.

    >>> config = RepetitionConfig(kind="repetition", name="repetition", words=2, share=0.3)
    >>> texts = ["the parcel is late, the parcel is late", "the parcel is late, the van is not", "ha" * 40]
    >>> marks(config, [Candidate("q", "", text) for text in texts])
    [True, False, True]
    """
    return [_repeats(config, candidate.text) for candidate in batch]


def _repeats(config: RepetitionConfig, text: str) -> bool:
    inner = json_texts(text)
    texts = [text] if inner is None else inner
    looped = _looped(text, blanks=True) + sum(_looped(one, blanks=False) for one in texts)
    return (
        looped > config.share * len(text) or _regular("".join(texts)) or _repeated(texts, config.words) > config.share
    )


def _regular(text: str) -> bool:
    raw = text.encode("utf-8", "replace")
    return len(raw) >= _LONG and len(zlib.compress(raw, 1)) * _REGULAR < len(raw)


def _looped(text: str, *, blanks: bool) -> int:
    """Characters in loops: of blanks only, or of anything else."""
    loops = (match for match in _LOOP.finditer(text) if match[1].isspace() is blanks)
    return sum(len(loop[0]) for loop in loops if len(loop[0]) > _LINE or not _LAYOUT.issuperset(loop[1]))


def _repeated(texts: Sequence[str], words: int) -> float:
    """Share of runs that were there before; 0 where there are too few."""
    seen: set[tuple[str, ...]] = set()
    runs = longest = 0
    for text in texts:
        said = items(text)
        size = _items(text, len(said), words)
        longest = max(longest, len(said) // size)
        for start in range(len(said) - size + 1):
            seen.add(tuple(said[start : start + size]))
            runs += 1
    return 1.0 - len(seen) / runs if longest >= 2 else 0.0


def _items(text: str, items: int, words: int) -> int:
    """How many items make ``words`` words: more of them in a script without blanks."""
    return round(words * items / count(text)) if items else words
