"""Constraints on words and letters.

A keyword counts within a longer word, too, as in IFEval; a forbidden word does not. IFEval replaces a ``letter`` that
is none of a to z, such as "#", by a random one; here it is counted as it is.
"""

import re
from collections.abc import Sequence
from typing import Any

from tao_ops.rewards.instructions.rule import Rule, a_count, a_relation, a_text, holds, texts


def existence(text: str, *, keywords: Sequence[str]) -> bool:
    """Each keyword is there, in any case."""
    return all(_count(keyword, text) for keyword in keywords)


def frequency(text: str, *, keyword: str, frequency: int, relation: str) -> bool:
    """The keyword is there so many times, in any case."""
    return holds(_count(keyword, text), relation, frequency)


def forbidden_words(text: str, *, forbidden_words: Sequence[str]) -> bool:
    """None of the words is there as a whole word, in any case."""
    return not any(
        re.search(rf"(?<!\w){re.escape(word.strip())}(?!\w)", text, re.IGNORECASE) for word in forbidden_words
    )


def letter_frequency(text: str, *, letter: str, let_frequency: int, let_relation: str) -> bool:
    """The letter, or any other character, is there so many times, in any case."""
    return holds(text.lower().count(letter.lower()), let_relation, let_frequency)


def _count(keyword: str, text: str) -> int:
    return len(re.findall(re.escape(keyword.strip()), text, re.IGNORECASE))


def _a_letter(value: Any) -> str:
    return "" if isinstance(value, str) and len(value.strip()) == 1 == len(value) else "no single character"


RULES = {
    "keywords:existence": Rule(existence, {"keywords": texts}),
    "keywords:frequency": Rule(frequency, {"keyword": a_text, "frequency": a_count, "relation": a_relation}),
    "keywords:forbidden_words": Rule(forbidden_words, {"forbidden_words": texts}),
    "keywords:letter_frequency": Rule(
        letter_frequency, {"letter": _a_letter, "let_frequency": a_count, "let_relation": a_relation}
    ),
}
