"""Constraints on capital letters.

IFEval cuts a word such as ``I'M`` into two and counts both; here it is one.
"""

import re

from tao_ops.rewards.instructions.language import response_language
from tao_ops.rewards.instructions.rule import Rule, a_count, a_relation, holds

_WORD = re.compile(r"\w+(?:[.&/-]\w+)*(?:['’][^\W\da-z]+\b)?")


def capital_word_frequency(text: str, *, capital_frequency: int, capital_relation: str) -> bool:
    """So many words in capital letters; words with hyphens are one."""
    return holds(sum(map(str.isupper, _WORD.findall(text))), capital_relation, capital_frequency)


def english_capital(text: str) -> bool | None:
    """English, and no small letter."""
    return response_language(text.lower(), language="en") if text.isupper() else False


def english_lowercase(text: str) -> bool | None:
    """English, and no capital letter."""
    return response_language(text, language="en") if text.islower() else False


RULES = {
    "change_case:capital_word_frequency": Rule(
        capital_word_frequency, {"capital_frequency": a_count, "capital_relation": a_relation}
    ),
    "change_case:english_capital": Rule(english_capital),
    "change_case:english_lowercase": Rule(english_lowercase),
}
