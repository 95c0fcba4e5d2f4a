"""``numeric``: the response's final number, or formula, equals the reference's.

Numbers are compared exactly, to the sixth decimal place; formulas by Math-Verify, in a process with limits.
"""

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

from tao_ops.records import Candidate
from tao_ops.rewards import final_answer
from tao_ops.rewards.base import Score
from tao_ops.rewards.limits import LimitError, limited

_SECONDS = 2.0
"""Of processor time for one formula: ``9^9^9^9`` takes for ever."""
_PLACES = 6
_UNDEFINED = re.compile(r"\b(?:zoo|nan)\b|^-?oo$")
"""How SymPy writes what has no value: all answers that divide by zero would be the same one."""


def score(batch: Sequence[Candidate]) -> list[Score]:
    r"""1 where the final answer equals the reference's, 0 where it doesn't or there is none.

    >>> batch = [Candidate("q", "", text, reference="#### 1,200") for text in
    ...          ("It costs $1,200.00.", "The answer is 1201.", "\\boxed{12 \\times 10^2}", "Dear!")]
    >>> [found.value for found in score(batch)]
    [1.0, 0.0, 1.0, 0.0]
    """
    return [_one(candidate.text, candidate.reference) for candidate in batch]


def canonical(text: str) -> str | None:
    """The final answer in the one form that all texts with the same answer have; None where there is none to read.

    >>> canonical("1,200.0") == canonical("#### $1200") == "1200"
    True
    >>> canonical("so 0.5"), canonical("1/2"), canonical("dear")
    ('1/2', '1/2', None)
    """
    answer = _readable(text)
    if answer is None:
        return None
    value = final_answer.number(answer)
    return _form(answer) if value is None else str(value)


def _one(text: str, reference: str | None) -> Score:
    if reference is None:
        return Score(None, "no reference")
    right = _readable(reference)
    if right is None:
        return Score(None, "the reference has no number")
    said = _readable(text)
    if said is None:
        return Score(0.0, "no number")
    numbers = final_answer.number(said), final_answer.number(right)
    if numbers[0] is not None and numbers[1] is not None:
        percent = final_answer.is_percent(said) or final_answer.is_percent(right)
        return _verdict(_same(numbers[0], numbers[1], percent))
    if (same := _equal(right, said)) is not None:
        return _verdict(same)
    if _equal(right, "1") is None:
        return Score(None, "the reference takes too long to compare")
    return Score(0.0, "takes too long to compare")  # undecided, it would be worth more than a wrong answer


@lru_cache(maxsize=4096)  # equal answers without end are waited for once
def _equal(right: str, said: str) -> bool | None:
    """Whether two formulas are the same; None where it takes too long."""
    try:
        return limited(_verified, right, said, seconds=_SECONDS, needs=("math_verify",))
    except LimitError:
        return None


@lru_cache(maxsize=4096)
def _form(answer: str) -> str | None:
    """The one form of a formula; None where it takes too long."""
    try:
        return limited(_canonical, answer, seconds=_SECONDS, needs=("math_verify",))
    except LimitError:
        return None


def _readable(text: str) -> str | None:
    """Its final answer, where that is a number or a formula."""
    answer = final_answer.find(text)
    if answer is None or (final_answer.number(answer) is None and not final_answer.is_formula(answer)):
        return None
    return answer


def _verdict(same: bool) -> Score:
    return Score(1.0) if same else Score(0.0, "another number")


def _same(said: Fraction, right: Fraction, percent: bool) -> bool:
    """Equal to the sixth place; where one is a percentage, 50 and 0.5 are the same."""
    scales = (Fraction(1), Fraction(1, 100), Fraction(100)) if percent else (Fraction(1),)
    return any(round(said * scale, _PLACES) == round(right, _PLACES) for scale in scales)


def _verified(right: str, said: str) -> bool:
    from math_verify import verify

    return bool(verify(_parsed(right), _parsed(said), float_rounding=_PLACES, timeout_seconds=None))


def _canonical(answer: str) -> str | None:
    parsed = _parsed(answer)
    if not parsed:
        return None
    value = parsed[0]
    try:
        value = value.doit() if hasattr(value, "doit") else value
        if getattr(value, "is_Rational", False):
            return str(Fraction(int(value.p), int(value.q)))
        form = str(value)
        return None if _UNDEFINED.search(form) else form
    except (ArithmeticError, AttributeError, TypeError, ValueError):  # a formula that is none after all
        return None


def _parsed(answer: str) -> list[Any]:
    """Math-Verify's reading; without its own time limit, which works in a main thread only."""
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    configs = [LatexExtractionConfig(), ExprExtractionConfig()]
    parsed: list[Any] = parse(f"${answer.replace('$', '')}$", configs, parsing_timeout=None)
    return parsed
