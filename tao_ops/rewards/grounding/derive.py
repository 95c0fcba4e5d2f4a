"""Everything that a document says in one step: its figures, and what one calculation makes of them, with weights."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import permutations
from math import exp, fsum, log, sqrt

import numpy as np
from numpy.typing import NDArray

from tao_ops.rewards.grounding.cues import Comparison, Step, asks_when, comparison
from tao_ops.rewards.grounding.figures import Document, Figure, words
from tao_ops.rewards.grounding.quantities import Kind

Floats = NDArray[np.float64]

OPERANDS = 40
"""Figures that are calculated with: those that the question is most about."""
RUN = 12
"""Most figures of a row or a column that are summed up."""
ROW, HEAD = 5.0, 3.0
"""How much more likely a figure is meant when its label, or its column's head, is the question's: e to this power."""
SAME_ROW, SAME_COLUMN, SAME_TEXT, APART = 1.0, 0.5, 0.3, 0.05
"""How likely two figures are calculated with, by where they stand."""
BACKWARDS = 0.03
"""How likely the earlier figure is compared with the later one, not the other way about."""
LARGER = 0.75
"""How likely the larger figure is compared with the smaller one, where time doesn't order them."""
UNSIGNED = 0.1
"""How likely figures in parentheses are calculated with as if they had none, as "cash used (114)" is."""
FREE = {Comparison.CHANGE: 0.0, Comparison.DIFFERENCE: 0.5, Comparison.FALL: 0.5}
"""How likely time doesn't order the two figures of a difference, by what is asked."""
DATES, ASKED_DATES = 0.02, 0.9
"""How likely a year is the answer: where the question doesn't ask for one, and where it does."""


_PLACES = {step: float(place) for place, step in enumerate(Step)}


@dataclass(frozen=True)
class Evidence:
    """What an answer's number may be, one entry each: values, and how likely each is.

    Attributes:
        value: before its scale.
        scale: what the value is multiplied by.
        sure: how sure the scale is, from 0 to 1.
        percent: 1 for a percentage, 0 for none; between where only a label says so.
        loose: how likely the value's sign is left out, or put in, by right.
        date: 1 for years and days.
        step: which of the steps it is, by its place among them.
        weight: how likely these figures are meant, if it is this step: of each step they sum to 1.
        blind: how likely it is, without any question; they sum to 1 at most.
    """

    value: Floats
    scale: Floats
    sure: Floats
    percent: Floats
    loose: Floats
    date: Floats
    step: Floats
    weight: Floats
    blind: Floats

    def only(self, places: NDArray[np.intp]) -> "Evidence":
        """The entries at these places."""
        return Evidence(*(getattr(self, name.name)[places] for name in fields(self)))


Entry = tuple[float, float, float, float, float, float, float, float, float]
"""One of each of :class:`Evidence`, in its order."""


def direct(document: Document, question: str, about: frozenset[str]) -> Evidence:
    """The document's figures as they stand, likelier where they are about these words."""
    return _as_arrays(_direct(document.figures, attend(document, about), question))


def derived(document: Document, question: str) -> Evidence:
    """What one calculation makes of the figures."""
    return _as_arrays(_derived(document.figures, attend(document, words(question)), question))


def _as_arrays(entries: Iterator[Entry]) -> Evidence:
    return Evidence(*np.array(list(entries), dtype=np.float64).reshape(-1, 9).T)


def attend(document: Document, about: frozenset[str]) -> list[float]:
    """How much each figure is what is asked about, by the words that both have: 1 and more."""
    rarity = document.rarity
    return [
        exp(ROW * _likeness(about, figure.words, rarity) + HEAD * _likeness(about, figure.head, rarity))
        for figure in document.figures
    ]


def _likeness(asked: frozenset[str], found: frozenset[str], rarity: Mapping[str, float]) -> float:
    """Cosine of the words, those of the document only, each weighed by how rare it is."""
    known = fsum(rarity.get(word, 0.0) ** 2 for word in asked)
    if not known or not found:
        return 0.0
    both = fsum(rarity[word] ** 2 for word in asked & found)
    return both / sqrt(known * fsum(rarity[word] ** 2 for word in found))


def _direct(figures: Sequence[Figure], attention: Sequence[float], question: str) -> Iterator[Entry]:
    dates = ASKED_DATES if asks_when(question) else DATES
    groups = {Kind.DATE: dates, Kind.VALUE: (1.0 - dates) * 0.95, Kind.MARK: (1.0 - dates) * 0.05}
    total: dict[Kind, float] = defaultdict(float)
    for figure, weight in zip(figures, attention, strict=True):
        total[figure.quantity.kind] += weight
    for figure, weight in zip(figures, attention, strict=True):
        quantity = figure.quantity
        group = groups[quantity.kind]
        yield (
            quantity.value,
            figure.scale,
            figure.sure,
            1.0 if quantity.percent else figure.rate,
            _loose(figure),
            float(quantity.kind is Kind.DATE),
            _PLACES[Step.DIRECT],
            group * weight / total[quantity.kind],
            0.5 / len(figures),
        )


_OUT = frozenset(
    re.findall(
        r"\w+",
        "used loss losse expense deduction decrease less charge cost outflow payment paid depreciation reduction"
        " liability financing investing repurchase vested forfeited exercised canceled cancelled expired tax",
    )
)


def _loose(figure: Figure) -> float:
    """How likely the sign is left out by right: "cash used" of (114) is 114; put in, where "fell by 5" is -5."""
    if figure.quantity.value < 0:
        return 0.3 if figure.words & _OUT else 0.1
    return 0.3 if figure.quantity.loose else 0.01


def _derived(figures: Sequence[Figure], attention: Sequence[float], question: str) -> Iterator[Entry]:
    """What pairs and runs of the likeliest figures give, by each step."""
    values = [i for i, figure in enumerate(figures) if figure.quantity.kind is Kind.VALUE]
    chosen = sorted(values, key=lambda i: -attention[i])[:OPERANDS]
    found: dict[Step, list[tuple[float, float, float, float, float]]] = defaultdict(list)
    asks = comparison(question)
    for i, j in permutations(chosen, 2):
        weight = _relation(figures[i], figures[j]) * attention[i] * attention[j]
        for step, *told in _pair(figures[i], figures[j], asks):
            value, scale, sure, percent, share = told
            found[step].append((value, scale, sure, percent, share * weight))
    for run, relation in _runs(figures):
        weight = relation * exp(2.0 * sum(log(attention[i]) for i in run) / len(run))
        for step, value, scale, sure, percent in _several([figures[i] for i in run]):
            found[step].append((value, scale, sure, percent, weight))
    for step, entries in found.items():
        total = sum(entry[4] for entry in entries) or 1.0
        for value, scale, sure, percent, weight in entries:
            yield value, scale, sure, percent, 0.01, 0.0, _PLACES[step], weight / total, 0.5 / len(found) / len(entries)


def _relation(one: Figure, other: Figure) -> float:
    if one.table != other.table:
        return APART
    if one.row == other.row:
        return SAME_ROW if one.table > 0 else SAME_TEXT
    return SAME_COLUMN if one.column == other.column and one.table > 0 else APART


Told = tuple[Step, float, float, float, float, float]


def _pair(one: Figure, other: Figure, asked: Comparison) -> Iterator[Told]:
    """Step, value, scale, sure, percent and share of each thing that one figure and another give."""
    a, b, scale = _common(one, other)
    if scale is None:
        return
    percent = one.quantity.percent and other.quantity.percent
    sure, rate = min(one.sure, other.sure), 1.0 if percent else min(one.rate, other.rate)
    forward, larger = _forward(one, other, a, b), LARGER if a > b else 1.0 - LARGER
    unordered = FREE[asked]
    for x, y, share in _signs(a, b, 0.5 if (one.words | other.words) & _OUT else UNSIGNED):
        less = (1.0 - unordered) * forward + unordered * larger
        yield Step.DIFFERENCE, x - y, scale, sure, rate, share * less
        if one.table != other.table or (one.row, one.column) < (other.row, other.column):
            yield Step.SUM, x + y, scale, sure, rate, share
            yield Step.AVERAGE, (x + y) / 2.0, scale, sure, rate, share
        if y:
            yield Step.CHANGE, 100.0 * (x - y) / y, 1.0, 1.0, 1.0, share * forward
            if y < 0:
                yield Step.CHANGE, 100.0 * (x - y) / -y, 1.0, 1.0, 1.0, 0.5 * share * forward
            yield Step.RATIO, x / y, 1.0, 1.0, 0.0, share
            yield Step.SHARE, 100.0 * x / y, 1.0, 1.0, 1.0, share


def _common(one: Figure, other: Figure) -> tuple[float, float, float | None]:
    """Both values in one scale; none where one is a percentage and the other isn't."""
    a, b = one.quantity.value, other.quantity.value
    if one.quantity.percent != other.quantity.percent:
        return a, b, None
    if one.scale == other.scale:
        return a, b, one.scale
    return a * one.scale, b * other.scale, 1.0


def _signs(a: float, b: float, without: float) -> Iterator[tuple[float, float, float]]:
    if a < 0 or b < 0:
        yield a, b, 1.0 - without
        yield abs(a), abs(b), without
    else:
        yield a, b, 1.0


def _forward(one: Figure, other: Figure, a: float, b: float) -> float:
    """How likely the first is compared with the second: the later with the earlier, the larger with the smaller."""
    if one.time and other.time and one.time != other.time:
        return 1.0 - BACKWARDS if one.time > other.time else BACKWARDS
    return LARGER if a > b else 1.0 - LARGER


def _runs(figures: Sequence[Figure]) -> Iterator[tuple[list[int], float]]:
    """Three and more neighbours of a row or a column, with how likely they are summed up: the whole of it most."""
    lines: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for i, figure in enumerate(figures):
        if figure.quantity.kind is Kind.VALUE:
            lines[figure.table, 0, figure.row].append(i)
            if figure.table > 0:
                lines[figure.table, 1, figure.column].append(i)
    budget = 2000
    for (_, down, _), line in lines.items():
        for size in range(3, min(len(line), RUN) + 1):
            for start in range(len(line) - size + 1):
                budget -= 1
                if budget < 0:
                    return
                yield (
                    line[start : start + size],
                    (SAME_COLUMN if down else SAME_ROW) * (1.0 if size == len(line) else 0.2),
                )


def _several(figures: Sequence[Figure]) -> Iterator[tuple[Step, float, float, float, float]]:
    first = figures[0]
    if any(f.quantity.percent != first.quantity.percent for f in figures):
        return
    same = all(f.scale == first.scale for f in figures)
    values = [f.quantity.value * (1.0 if same else f.scale) for f in figures]
    scale, sure = first.scale if same else 1.0, min(f.sure for f in figures)
    percent = 1.0 if first.quantity.percent else min(f.rate for f in figures)
    total = sum(values)
    yield Step.SUM, total, scale, sure, percent
    yield Step.AVERAGE, total / len(values), scale, sure, percent
    if min(values) < 0:
        total = sum(abs(value) for value in values)
        yield Step.SUM, total, scale, sure, percent
        yield Step.AVERAGE, total / len(values), scale, sure, percent
