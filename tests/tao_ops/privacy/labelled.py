"""A labelled set of our own: messages of many shapes in which every personal value is known, and how well a redactor
does on them."""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from random import Random

from tao_ops.config import PersonalKind, PrivacyConfig
from tao_ops.privacy import Redactor
from tests.tao_ops.privacy import labelled_texts, labelled_values

FILLED = 8
"""Messages that are made of each shape."""
_SLOT = re.compile("«(\\w+)»")
_KINDS = {"token": PersonalKind.SECRET, "password": PersonalKind.SECRET}
_PARTS = {
    "tuning": (labelled_texts.TUNING, labelled_values.TUNING),
    "more": (labelled_texts.MORE, labelled_values.MORE),
    "held": (labelled_texts.HELD, labelled_values.HELD),
}
CONFIG = PrivacyConfig(regions=labelled_values.REGIONS, names=False)


@dataclass(frozen=True)
class Span:
    """Characters ``[start, end)`` of a text, and what they are."""

    start: int
    end: int
    kind: PersonalKind


Find = Callable[[str], Set[Span]]


@dataclass(frozen=True)
class Labelled:
    """A message and everything personal in it."""

    text: str
    spans: frozenset[Span]


@dataclass(frozen=True)
class Measure:
    """How well one kind was found: spans that agree to the character, spans found and spans there."""

    right: int
    found: int
    there: int

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        return self.right / self.there if self.there else 1.0


def messages(part: str, seed: int = 20) -> list[Labelled]:
    """The messages of a part, ``tuning``, ``more`` or ``held``; the same ones for the same seed."""
    shapes, forms = _PARTS[part]
    rng = Random(f"{part} {seed}")
    rest: dict[str, list[labelled_values.Value]] = {}
    return [_fill(shape, forms, rng, rest) for _ in range(FILLED) for shape in shapes]


def spans(redactor: Redactor) -> Find:
    """What a redactor finds, as :func:`measure` takes it."""
    return lambda text: {Span(hit.start, hit.end, PersonalKind(hit.kind)) for hit in redactor.find(text)}


def measure(find: Find, labelled: Sequence[Labelled]) -> dict[PersonalKind, Measure]:
    """Precision and recall per kind. A span counts only where start, end and kind are all right."""
    right, found, there = Counter[PersonalKind](), Counter[PersonalKind](), Counter[PersonalKind]()
    for message in labelled:
        seen = find(message.text)
        for counter, counted in ((right, seen & message.spans), (found, seen), (there, message.spans)):
            counter.update(span.kind for span in counted)
    return {kind: Measure(right[kind], found[kind], there[kind]) for kind in PersonalKind}


def wilson(right: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """The Wilson score interval (95 %) of a share (E. B. Wilson 1927, J. Am. Stat. Assoc. 22, p. 209)."""
    if not of:
        return 0.0, 1.0
    share, square = right / of, z * z
    middle = share + square / (2 * of)
    half = z * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    return (middle - half) / (1 + square / of), (middle + half) / (1 + square / of)


def _fill(
    shape: str,
    forms: dict[str, tuple[labelled_values.Value, ...]],
    rng: Random,
    rest: dict[str, list[labelled_values.Value]],
) -> Labelled:
    text, spans, last = "", set(), 0
    for slot in _SLOT.finditer(shape):
        name = slot[1]
        text += shape[last : slot.start()]
        value = labelled_values.value(name, forms, rng, rest)
        if name in forms:
            spans.add(Span(len(text), len(text) + len(value), _KINDS.get(name) or PersonalKind(name)))
        text, last = text + value, slot.end()
    return Labelled(text + shape[last:], frozenset(spans))
