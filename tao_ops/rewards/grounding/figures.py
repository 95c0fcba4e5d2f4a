"""The text that a user gave, as figures: each number with the words of its row, its column's head and its scale."""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from math import log

from tao_ops.rewards.grounding.quantities import Kind, Quantity, cell_hint, hints, read
from tao_ops.rewards.grounding.tables import blocks, is_blank, is_value

_WORD = re.compile(r"[^\W\d_]{2,}|\b(?:19|20)\d\d\b")
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_SHORT_YEAR = re.compile(r"\b(?:FY|CY|F|[HQ][1-4]\s?|[1-4][HQ])['’]?(\d\d)\b", re.IGNORECASE)
_STOP = frozenset(
    re.findall(
        r"\w+",
        "the of and in for to from as at by on is are was were be been what which how much many did does do with its it"
        " their this that an or company respectively between during year years ended end value amount table given"
        " million millions thousand thousands billion",
    )
)
_PERCENT = re.compile(r"%|\bpercent", re.IGNORECASE)
_RATE = re.compile(r"\b(?:rates?|margins?|yields?|ratios?)\b", re.IGNORECASE)
_SINGLE = re.compile(
    r"\bper\b.{0,20}\b(?:share|unit|ads|ton|barrel)|\beps\b|\bin (?:years|days|months)\b|\((?:years|days|months)\)"
    r"|^\W*(?:years|days|months)\W*$",
    re.IGNORECASE | re.MULTILINE,
)
_COUNTED = re.compile(
    r"\b(?:shares?|units?|options?|rights|warrants?|rsus?|psus?|employees|subscribers|customers|number|no\.)\b",
    re.IGNORECASE,
)
_COMPARED = 400
"""Most figures on each side that are compared to find a table's scale."""
_HEADS = 6
"""Most lines of a table's head."""
_LONGEST, _LONGEST_ROW = 300, 2000
"""Characters of a label, a section and a head, and of a row of words, that tell what a number is about."""
_WINDOW = 10
"""Words on each side of a number in running text that tell what it is about."""


@dataclass(frozen=True)
class Figure:
    """A number of the given text.

    Attributes:
        scale: what its value is multiplied by; 1 where nothing says otherwise.
        sure: how sure its scale is: 1 where something says it, or that it has none; 0 where nothing does.
        rate: how sure it is a percentage that is written without its sign, by its label or column.
        table: which table; below 0 for a sentence.
        row: within the table.
        column: within the row; of a sentence the place of the number.
        words: of its row's label, or around it.
        head: words of its column's head.
        time: the latest year of its head or label; 0 where there is none.
    """

    quantity: Quantity
    scale: float
    sure: float
    rate: float
    table: int
    row: int
    column: int
    words: frozenset[str]
    head: frozenset[str]
    time: int


@dataclass
class Document:
    """What the user gave: the figures of its tables and of its running text, and its scale where that is known."""

    figures: list[Figure] = field(default_factory=list)
    scale: float | None = None

    @cached_property
    def rarity(self) -> dict[str, float]:
        """How much each word of labels and heads tells: more where fewer have it."""
        rows = {(figure.table, figure.row, figure.words) for figure in self.figures}
        heads = {(figure.table, figure.column, figure.head) for figure in self.figures}
        seen = Counter(word for _, _, found in rows | heads for word in found)
        return {word: log(1.0 + len(rows | heads) / count) for word, count in seen.items()}


@lru_cache(maxsize=1024)  # all numbers of a row share its words
def words(text: str) -> frozenset[str]:
    """What it is about: its words without case, endings of the plural and small words; and its years.

    >>> sorted(words("What were the total revenues in 2019?"))
    ['2019', 'revenue', 'total']
    """
    found = (word.lower() for word in _WORD.findall(_SHORT_YEAR.sub(r"20\1", text)))
    return frozenset(_singular(word) for word in found if word not in _STOP)


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def parse(text: str, question: str, most: int) -> Document | None:
    """All figures of a text; None where it has more than ``most``.

    Args:
        text: the given text without the question.
        question: asked of it; "in thousands" in it counts where the text says nothing.
        most: how many figures are read.
    """
    document = Document(scale=_overall(text, question))
    said = hints(text)
    offset = table = 0
    for rows, prose in blocks(text):
        length = len(prose)
        if rows is None:
            _sentences(document, prose, table, most)
        else:
            before = bisect_left(said, (offset, 0.0))
            table += 1
            _table(document, rows, table, said[before - 1][1] if before else document.scale, most)
        if len(document.figures) > most:
            return None
        offset += length
    _compare(document)
    return document


def _compare(document: Document) -> None:
    """Where nothing says a table's scale, running text may: "$1.2 million" beside a 1,234 of the table."""
    told = [f.quantity for f in document.figures if f.table < 0 and f.quantity.scale and f.quantity.digits > 1][
        :_COMPARED
    ]
    unsure = [f for f in document.figures if f.sure < 1.0 and f.table > 0 and f.quantity.digits > 2][:_COMPARED]
    votes = {
        scale: sum(
            any(abs(abs(f.quantity.value) * scale / q.scale - abs(q.value)) <= q.half * (1 + 1e-9) for f in unsure)
            for q in told
            if q.scale
        )
        for scale in (1e3, 1e6)
    }
    best = max(votes, key=lambda scale: votes[scale])
    if votes[best] > 2 * sum(count for scale, count in votes.items() if scale != best):
        document.figures = [
            replace(f, scale=best, sure=1.0) if f.table > 0 and not f.sure else f for f in document.figures
        ]


def _overall(text: str, question: str) -> float | None:
    """The scale that the text gives most often; else the question's."""
    said = [scale for _, scale in hints(text)] or [scale for _, scale in hints(question)]
    return max(set(said), key=said.count) if said else None


def _table(document: Document, rows: list[list[str]], table: int, scale: float | None, most: int) -> None:
    heads: list[list[str]] = []
    section, body = "", False
    top = [row for row in rows[:5] if not any(map(is_value, row))]
    within = next((hint for row in top for cell in row if len(cell) < 120 and (hint := cell_hint(cell))), None)
    start = len(document.figures)
    for number, cells in enumerate(rows):
        if len(document.figures) > most:
            return
        first = next((i for i, cell in enumerate(cells) if i and is_value(cell)), None)
        if first is None and not (cells and is_value(cells[0])):
            if any(cells[1:]) and not all(is_blank(cell) for cell in cells[1:]):
                heads, body = ([*heads, cells][-_HEADS:] if not body else [cells]), False
            else:
                section, body = " ".join(cells)[:_LONGEST], True
            _marks(document, " \n ".join(cells), table, number)
            continue
        body = True
        label = " ".join(cell for i, cell in enumerate(cells) if not is_value(cell) and (not i or i < (first or 0)))
        _marks(document, label, table, number)
        for column, cell in enumerate(cells):
            if is_value(cell) and (column or not label):
                labels = label[:_LONGEST], section, _head(heads, column)[:_LONGEST]
                _cell(document, cell, labels, (table, number, column), within, scale)
    _share_rates(document.figures, start)


def _share_rates(figures: list[Figure], start: int) -> None:
    """A column that begins and ends with percentages is one of percentages, written with the sign or without."""
    columns: dict[int, list[int]] = {}
    for i in range(start, len(figures)):
        if figures[i].quantity.kind is Kind.VALUE:
            columns.setdefault(figures[i].column, []).append(i)
    for places in columns.values():
        if figures[places[0]].quantity.percent and figures[places[-1]].quantity.percent:
            for i in places:
                if not figures[i].quantity.currency:
                    figures[i] = replace(figures[i], rate=0.9, scale=1.0)


def _head(heads: Sequence[Sequence[str]], column: int) -> str:
    """What stands above a column; a blank in a head is under what stands left of it, as a spanning cell is written."""
    found = []
    for cells in heads:
        at = min(column, len(cells) - 1)
        while at > 1 and not cells[at]:
            at -= 1
        found.append(cells[at] if at else "")
    return " ".join(found)


def _cell(
    document: Document,
    cell: str,
    labels: tuple[str, str, str],
    place: tuple[int, int, int],
    within: float | None,
    before: float | None,
) -> None:
    """Add a cell's figure; ``within`` its table, and ``before`` it, stands the scale, or none."""
    label, section, head = labels
    found = read(cell, 1)
    if not found:
        return
    quantity, told = found[0], f"{label} {head}"
    if quantity.kind is Kind.DATE:  # a bare 1987 among the values
        quantity = Quantity(quantity.value, 0, 4, start=quantity.start, end=quantity.end)
    own = quantity.scale or cell_hint(label) or cell_hint(head)
    counted = _COUNTED.search(f"{told} {section}") is not None and not quantity.currency
    scale = within or (None if counted else before)
    rate = 0.9 if _PERCENT.search(told) and not quantity.currency else 0.5 * (_RATE.search(told) is not None)
    alone = rate > 0.5 or _SINGLE.search(f"{label}\n{section}\n{head}") is not None
    single = quantity.percent or (own is None and alone)
    document.figures.append(
        Figure(
            quantity=quantity,
            scale=1.0 if single else own or scale or 1.0,
            sure=1.0 if single or own or scale else 0.7 if counted or quantity.digits > 6 else 0.0,
            rate=rate,
            table=place[0],
            row=place[1],
            column=place[2],
            words=words(f"{label} {section}"),
            head=words(head),
            time=_time(label) or _time(head),
        )
    )


def _time(text: str) -> int:
    return max((int(year) for year in _YEAR.findall(_SHORT_YEAR.sub(r"20\1", text))), default=0)


def _marks(document: Document, text: str, table: int, row: int) -> None:
    """The numbers of labels and heads: years, days, "due in 5 years". Nothing is calculated with them."""
    about = words(text[:_LONGEST_ROW])
    for quantity in read(text, 40):
        kind = quantity.kind if quantity.kind is Kind.DATE else Kind.MARK
        marked = Quantity(
            quantity.value, quantity.decimals, quantity.digits, quantity.scale, quantity.percent, kind=kind
        )
        document.figures.append(Figure(marked, 1.0, 1.0, 0.0, table, row, -1, about, frozenset(), 0))


def _sentences(document: Document, text: str, table: int, most: int) -> None:
    """Numbers of running text; those of one sentence are one row."""
    for place, sentence in enumerate(re.split(r"(?<=[.!?;])\s+(?=\S)|\n", text)):
        if len(document.figures) > most:
            return
        for column, quantity in enumerate(read(sentence, most + 1)):
            before = sentence[max(0, quantity.start - 200) : quantity.start].split()[-_WINDOW:]
            after = sentence[quantity.end : quantity.end + 200].split()[:_WINDOW]
            around = " ".join([*before, *after])
            document.figures.append(
                Figure(
                    quantity,
                    quantity.scale or 1.0,
                    1.0,
                    0.5 * (_RATE.search(around) is not None),
                    -1 - table,
                    place,
                    column,
                    words(around),
                    frozenset(),
                    0,
                )
            )
