"""``grounding`` of numbers: each number of an answer stands in what the user gave, or follows from it by one step.

A number's support is the posterior probability that it comes from the document as the question asks, and not by a
mistake. Three ways to a number are weighed against each other:

- the right way: a figure of the document, or one calculation with its figures (:mod:`derive`), each as likely as the
  question's words make it;
- a mistake: any figure or calculation, whatever its row, and the right figures with a wrong sign, scale or step;
- chance: a random number of the same magnitude and as many digits.

So a number that many pairs of figures give by chance, as one of two digits is, is little supported by each of them.

Not looked at are numbers that the question holds, what a calculation is worked with, and years beside an amount that
the document holds; numbers in words are no numbers. An answer that only repeats the question is compared all the same.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tao_ops.records import Candidate
from tao_ops.rewards.base import Score
from tao_ops.rewards.grounding import cues
from tao_ops.rewards.grounding.derive import Evidence, Floats, derived, direct
from tao_ops.rewards.grounding.figures import Document, parse, words
from tao_ops.rewards.grounding.quantities import MOST_CHARACTERS, Kind, Quantity, read

Bools = NDArray[np.bool_]

MOST_GIVEN = 2_000
"""A document with more numbers isn't read: chance would support nearly every number."""
MOST_ANSWERED = 200
"""Further numbers of an answer aren't looked at."""
MOST_COMPARED = 40_000
"""Where an answer's numbers times the document's are more, the answer's own words aren't looked at."""
_BESIDE = 6
"""Words on each side of an answer's number."""
CHANCE = 0.3
"""How much likelier than the right way a random number is, before its digits are seen."""
MISTAKE = 0.3
"""How much likelier than the right way any figure or calculation is, whatever is asked."""
SLIP = 0.3
"""How much likelier than the right way the right figures are, with a wrong sign or scale."""
OTHER_STEP = 0.1
"""How much likelier than the right way they are in another step than is asked for."""
UNASKED = 0.005
"""How likely a step is that the question's words don't suggest."""


def score(batch: Sequence[Candidate]) -> list[Score]:
    """Support of an answer's least supported number, from 0 to 1, by the message and what was said before.

    >>> table = "(in millions)\\t2019\\t2018\\nSales\\t1,250.5\\t1,100.2\\nCosts\\t980.1\\t870.3"
    >>> asked = f"{table}\\nWhat were the sales in 2019?"
    >>> texts = ["1,250.5 million", "1,250.5 billion", "1,377.9 million", "High."]
    >>> [s.value and round(s.value, 1) for s in score([Candidate("q", asked, text) for text in texts])]
    [0.9, 0.0, 0.0, None]
    """
    given: dict[tuple[str, str], _Given | str] = {}
    found = []
    for candidate in batch:
        key = candidate.query, candidate.context
        if key not in given:
            given[key] = _given(*key)
        found.append(_score(given[key], candidate.text))
    return found


@dataclass(frozen=True)
class _Given:
    """A document with a question, as it is compared with numbers."""

    document: Document
    question: str
    asked: list[Quantity]
    direct: Evidence
    derived: Evidence


def _given(message: str, context: str) -> _Given | str:
    """What the user gave; or why nothing can be compared with it."""
    if len(message) + len(context) > MOST_CHARACTERS:
        return "the given text is too long"
    question, rest = cues.part(message)
    document = parse(f"{context}\n{rest}", question, MOST_GIVEN)
    if document is not None and not document.figures:
        document = parse(f"{context}\n{message}", question, MOST_GIVEN)
    if document is None:
        return "too many numbers in the given text"
    if not document.figures:
        return "no number in the given text"
    asked = read(question, MOST_ANSWERED)
    return _Given(document, question, asked, direct(document, question, words(question)), derived(document, question))


def _score(given: _Given | str, answer: str) -> Score:
    numbers = [q for q in read(answer[:MOST_CHARACTERS], MOST_ANSWERED) if q.kind is not Kind.MARK]
    if not numbers:
        return Score(None, "no number in the answer")
    if isinstance(given, str):
        return Score(None, given)
    own = [q for q in numbers if not any(_repeats(q, asked) for asked in given.asked)]
    claims = [quantity for quantity in own if not _is_operand(answer, quantity)]
    if any(quantity.kind is Kind.VALUE for quantity in claims):
        claims = [quantity for quantity in claims if not _is_known_date(given.document, quantity)]
    looked_at = claims or own or numbers
    close = len(looked_at) * len(given.document.figures) <= MOST_COMPARED
    supports = [
        _support(given, quantity, _Said.beside(answer, quantity) if close else _Said()) for quantity in looked_at
    ]
    decided = [value for value in supports if value is not None]
    if not decided:
        return Score(None, "a count, which need not stand in the text")
    return Score(min(decided))


def _is_known_date(document: Document, quantity: Quantity) -> bool:
    """A year beside an amount isn't the answer: it's enough that it is in the document."""
    if quantity.kind is not Kind.DATE:
        return False
    return any(f.quantity.kind is Kind.DATE and f.quantity.value == quantity.value for f in document.figures)


_BEFORE_OPERAND = re.compile(r"[\d)%] (?:[-−–+/*x]|[÷×]) [($€£ ]{0,3}$")
_AFTER_OPERAND = re.compile(r"[ )]{0,3} (?:[-−–+/*x]|[÷×]) [($€£ ]{0,3}\d")


def _is_operand(answer: str, quantity: Quantity) -> bool:
    """Whether the number is worked with, as in "(5 - 4) / 4 = 25%": what comes out is looked at."""
    before = answer[max(0, quantity.start - 8) : quantity.start]
    return bool(_BEFORE_OPERAND.search(before) or _AFTER_OPERAND.match(answer[quantity.end : quantity.end + 12]))


def _repeats(quantity: Quantity, asked: Quantity) -> bool:
    return quantity.value == asked.value and quantity.percent == asked.percent and quantity.scale == asked.scale


@dataclass(frozen=True)
class _Said:
    """The answer's text on both sides of a number."""

    before: str = ""
    after: str = ""

    @classmethod
    def beside(cls, answer: str, quantity: Quantity) -> "_Said":
        return cls(answer[max(0, quantity.start - 200) : quantity.start], answer[quantity.end : quantity.end + 200])

    @property
    def about(self) -> frozenset[str]:
        return words(" ".join([*self.before.split()[-_BESIDE:], *self.after.split()[:_BESIDE]]))


def _support(given: _Given, quantity: Quantity, said: _Said) -> float | None:
    """Posterior probability of the right way; None where the number may be a count."""
    likely = _likely(given.question, said, quantity)
    right = slip = other = mistake = 0.0
    for told in (_told(given, said), given.derived):
        found, same = _matches(told, quantity)
        asked = likely[found.step.astype(np.intp)]
        right += float(found.weight @ (same * asked))
        slip += float(found.weight @ ((1.0 - same) * asked))
        other += float(found.weight @ (same * (1.0 - asked)))
        mistake += float(found.blind.sum())
    chance = 1.0 / 30.0 if quantity.kind is Kind.DATE else 1.0 / (9.0 * 10.0 ** (min(quantity.digits, 15) - 1))
    wrong = CHANCE * chance + MISTAKE * mistake + SLIP * slip + OTHER_STEP * other
    value = right / (right + wrong) if right > 0.0 else 0.0
    return None if value < 0.5 and _may_be_count(given.question, quantity) else value


def _likely(question: str, said: _Said, quantity: Quantity) -> Floats:
    """How likely each step is: by the question, and, where the answer's own words name one, half by them."""
    asked = cues.steps(question)
    named = cues.stated(said.before[-60:], said.after, percent=quantity.percent)
    likely = np.array([asked.get(step, UNASKED) for step in cues.Step])
    return likely if named is None else 0.5 * likely + 0.5 * np.array([float(step is named) for step in cues.Step])


def _told(given: _Given, said: _Said) -> Evidence:
    """The document's figures; likelier are those that the answer's words beside the number, too, are about."""
    asked = words(given.question)
    about = asked | (said.about & given.document.rarity.keys())
    return given.direct if about == asked else direct(given.document, given.question, about)


def _may_be_count(question: str, quantity: Quantity) -> bool:
    plain = not (quantity.decimals or quantity.scale or quantity.percent or quantity.currency)
    return plain and 0 <= quantity.value <= 20 and cues.asks_count(question)


def _matches(all_told: Evidence, quantity: Quantity) -> tuple[Evidence, Floats]:
    """The entries that are the number, sign, scale and percent aside; and how far each is by right, from 0 to 1."""
    unit, size = quantity.scale or 1.0, abs(quantity.value)
    near = quantity.half * (1.0 + 1e-9) if size else 0.0
    value = np.abs(all_told.value)
    written: Bools = np.abs(value - size) <= near
    absolute: Bools = np.abs(value * all_told.scale - size * unit) <= near * unit
    parts: Bools = np.abs(value - 100.0 * size) <= 100.0 * near
    parts &= (all_told.percent == 1.0) & _may_be_share(quantity)
    there = np.flatnonzero(written | absolute | parts)
    found = all_told.only(there)
    signs: Floats = np.where((found.value >= 0) == (quantity.value >= 0), 1.0, found.loose)
    if quantity.loose:
        signs = np.maximum(signs, 0.5)
    same_kind: Floats = np.where(found.date == float(quantity.kind is Kind.DATE), 1.0, 0.1)
    units = _units(found, quantity, written[there], absolute[there])
    return found, np.where(parts[there], np.maximum(units, 0.3), units) * signs * same_kind


def _may_be_share(quantity: Quantity) -> bool:
    """Whether it may be a percentage written as 0.137."""
    plain = quantity.scale is None and not quantity.percent and not quantity.currency
    return plain and quantity.decimals > 1 and quantity.value != 0.0


def _units(found: Evidence, quantity: Quantity, written: Bools, absolute: Bools) -> Floats:
    """How far scale and percent agree, where the numbers do."""
    if quantity.percent:
        return np.where(written, np.maximum(found.percent, 0.01), 0.0)
    if quantity.scale is None:
        share = np.where(found.percent == 1.0, 0.03, 1.0 - 0.8 * found.percent)
        return np.where(absolute, share, np.where(written, 0.3 * share, 0.0))
    guess = 0.4 if quantity.scale in (1e3, 1e6) else 0.1
    unnamed = np.where(written, guess * (1.0 - found.sure), 0.0)
    return np.where(found.percent < 1.0, np.where(absolute, 0.6 + 0.4 * found.sure, unnamed), 0.0)
