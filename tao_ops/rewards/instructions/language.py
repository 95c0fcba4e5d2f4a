"""The constraint on the language, by py3langid.

IFEval's checker draws at random, so that a short text is sometimes this, sometimes that; here it is undecided.
"""

from typing import Any

from tao_ops.rewards.instructions.rule import Rule
from tao_ops.rewards.languages import identifier

_LETTERS = 20
"""A text with fewer tells too little of its language."""
_READ = 4000
"""Characters that are looked at, at most."""
_DOUBT = 0.1
"""Probability from which on a text that another language is likelier for may be in this one."""
_LINE = 40
"""A line with fewer letters is not looked at by itself."""
_FOREIGN = 0.1
"""Share of the letters in lines of another language from which on the text is not all in this one."""


def response_language(text: str, *, language: str) -> bool | None:
    """The text's likeliest language is this one, and that of its longer lines.

    Undecided where the text is short, or where another language is likelier, but this one is likely, too.
    """
    text = text[:_READ]
    whole = _is_in(text, language)
    if whole is not True:
        return whole
    lines = [line for line in text.splitlines() if _letters(line) >= _LINE]
    foreign = sum(_letters(line) for line in lines if _is_in(line, language) is False)
    return foreign <= _FOREIGN * _letters(text)


def _is_in(text: str, language: str) -> bool | None:
    if _letters(text) < _LETTERS:
        return None
    ranked: list[tuple[str, float]] = identifier().rank(text)
    if ranked[0][0] == language:
        return True
    return False if dict(ranked).get(language, 0.0) < _DOUBT else None


def _letters(text: str) -> int:
    return sum(map(str.isalpha, text))


def _a_language(value: Any) -> str:
    return "" if value in identifier().labels else "no code of ISO 639-1 that can be told"


RULES = {"language:response_language": Rule(response_language, {"language": _a_language})}
