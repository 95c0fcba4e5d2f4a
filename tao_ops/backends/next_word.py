"""How likely an answer begins with a word, from the likeliest first tokens."""

import math
from collections.abc import Iterable, Sequence

TOP = 20
"""How many of the likeliest first tokens are looked at: the most that vLLM and OpenAI's servers give by default."""
TOO_LONG = "too long for the judge"


def word_logprobs(tokens: Iterable[tuple[str, float]], words: Sequence[str]) -> dict[str, float]:
    """For each of ``words`` the natural log-probability of all tokens that are a way to write it; others are left out.

    A blank before or behind it makes no difference, nor does case, but for a single letter: "a" is a word of its own.

    Args:
        tokens: the likeliest first tokens as text, and their natural log-probabilities.

    >>> found = word_logprobs([(" Yes", -0.7), ("yes", -3.0), ("A", -2.0), ("a", -1.0)], ["Yes", "No", "A"])
    >>> {word: round(logprob, 3) for word, logprob in found.items()}
    {'Yes': -0.604, 'A': -2.0}
    """
    names = {_written(word): word for word in words}
    mass: dict[str, float] = {}
    for token, logprob in tokens:
        word = names.get(_written(token.replace("\u2581", " ").strip()))
        if word is not None and not math.isnan(logprob):
            mass[word] = mass.get(word, 0.0) + math.exp(min(logprob, 0.0))
    return {word: math.log(p) for word, p in mass.items() if p > 0.0}


def _written(word: str) -> str:
    return word if len(word) == 1 else word.casefold()
