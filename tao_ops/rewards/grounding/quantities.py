"""Numbers as people write them, with unit, scale, sign and currency; and what a text says of its numbers' scale."""

import re
from dataclasses import dataclass
from enum import StrEnum

_SMALLEST, _LARGEST = 1e-60, 1e60
"""Any other number is none: nothing is calculated beyond what a float holds."""
MOST_CHARACTERS = 400_000
"""A longer text is not read."""


class Kind(StrEnum):
    """What a number is for."""

    VALUE = "value"
    """An amount, a share, a count: what is asked for, and calculated with."""
    DATE = "date"
    """A year, or the day of a date."""
    MARK = "mark"
    """The number of a note, a section, a footnote."""


@dataclass(frozen=True)
class Quantity:
    """One number of a text.

    Attributes:
        value: as written, with its sign, before any scale: -12.5 of "(12.5) million"; percent of a percentage.
        decimals: digits after the decimal point.
        digits: significant digits.
        scale: 1e6 of "million"; None where no scale stands beside it.
        percent: a percentage, a percentage point, or basis points (value and decimals turned into percent).
        signed: it has a minus, or stands in parentheses.
        loose: words beside it ("a loss of", "decreased by") may stand for a minus.
        start: where it begins in the text, in characters.
        end: where it ends.
    """

    value: float
    decimals: int = 0
    digits: int = 1
    scale: float | None = None
    percent: bool = False
    currency: bool = False
    signed: bool = False
    loose: bool = False
    kind: Kind = Kind.VALUE
    start: int = 0
    end: int = 0

    @property
    def half(self) -> float:
        """Half a unit of its last digit, before any scale: what rounds to it is no further away."""
        return 0.5 * 10.0**-self.decimals


_SCALES = {
    "k": 1e3, "thousand": 1e3, "m": 1e6, "mm": 1e6, "mn": 1e6, "mln": 1e6, "mio": 1e6, "million": 1e6, "b": 1e9,
    "bn": 1e9, "mrd": 1e9, "billion": 1e9, "tn": 1e12, "trillion": 1e12,
}  # fmt: skip
_CURRENCY = r"(?:US|CA?|AU?|HK|NZ|S|R)?[$€£¥₹]|\b(?:USD|EUR|GBP|CHF|RMB|JPY|CNY|INR|Rs\.?)"
_DIGITS = (
    r"\d{1,3}(?:\.\d{3}){1,8},\d+|\d{1,3}(?:\.\d{3}){2,8}(?![\d.])"  # 1.234,5 and 1.234.567
    r"|\d{1,3}(?:[,'’\u00a0\u2009\u202f]\d{2,3}){0,8}[,'’\u00a0\u2009\u202f]\d{3}(?!\d)(?:\.\d+)?"  # 1,234.5; 12,34,567
    r"|\d+,\d{1,2}(?![\d,])|\d+(?:\.\d+)?|\.\d+"  # 12,5; 12.5; .5
)
_NUMBER = re.compile(
    rf"(?P<open>\([ \u00a0]?)?(?P<minus>(?<![\w)%])[-−–][ \u00a0]?)?(?P<currency>{_CURRENCY})?[ \u00a0]{{0,2}}"
    rf"(?P<inner>\([ \u00a0]?|[-−–])?(?<![\w.])(?P<digits>{_DIGITS})(?P<exponent>[eE][+-]?\d{{1,5}}\b)?"
    r"(?P<early>[ \u00a0]?\))?"
    r"(?P<unit>[ \u00a0-]?(?:%|per ?cent\b|percentage points?\b|p\.?p\.?t?s?\b|bps?\b|basis points?\b)"
    r"|[ \u00a0-]?(?:thousand|million|billion|trillion|mn|mln|mio|mrd|bn|tn|mm)s?\b\.?|(?:[kKmMbB])\b)?"
    r"(?P<close>[ \u00a0]?\))?",
    re.IGNORECASE,
)
_FRACTION = re.compile(r"(?<![\d/.,])(\d{1,3})/(\d{1,3})(?![\d/.,])")
_DATE = re.compile(r"\b\d{1,4}([-/.])\d{1,2}\1\d{1,4}\b")
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_BEFORE_DAY = re.compile(rf"\b{_MONTH}[ \u00a0]$", re.IGNORECASE)
_AFTER_DAY = re.compile(rf"[ \u00a0-]{_MONTH}(?![a-z])", re.IGNORECASE)
_BEFORE_MARK = re.compile(
    r"\b(?:notes?|items?|sections?|topics?|parts?|articles?|level|tables?|figures?|pages?|asc|asu|ifrs|ias|rule|form"
    r"|no\.?|step|q|phase|version)[ \u00a0#.:-]{0,2}$|[A-Za-z]-$",
    re.IGNORECASE,
)
_IN_LIST = re.compile(r"(?:^|\n)[ \t]*\(?$")
_AFTER_IN_LIST = re.compile(r"[.)](?:[ \t\u00a0]|$)")
_WORKING = re.compile(r"(?:[/÷×*]|\bx|\\times|\\div)[ \u00a0({]{0,2}$")
"""Before the 3 of "(1 + 2 + 3) / 3", and before the 100 that makes a percentage."""
_AFTER_MARK = re.compile(r"(?:st|nd|rd|th)\b|-?[A-Z]\b|[a-wyzA-WYZ]|-[Kk]\b")
_DOWN = re.compile(
    r"\b(?:decreas\w*|declin\w*|fell|fall\w*|loss(?:es)?|lost|lower\w*|reduc\w*|drop\w*|down|negative|outflows?|used"
    r"|deficits?|shrank|shortfalls?|minus|less|write-?offs?)\b",
    re.IGNORECASE,
)


def read(text: str, most: int) -> list[Quantity]:
    """The first ``most`` numbers of a text, in its order; no parts of words, and nothing immensely large or small.

    >>> [(q.value, q.scale, q.percent) for q in read("Revenue of $1,234.5 million fell by (3.2)%", 9)]
    [(1234.5, 1000000.0, False), (-3.2, None, True)]
    """
    found: list[Quantity] = []
    dates = [match.span() for match in _DATE.finditer(text)]
    fractions = {match.start(): match for match in _FRACTION.finditer(text)}
    skip = 0
    for match in _NUMBER.finditer(text):
        if len(found) >= most:
            break
        start = match.start("digits")
        if start < skip:
            continue
        if (fraction := fractions.get(start)) is not None:
            skip = fraction.end()
            quantity = _fraction(fraction)
        else:
            quantity = _quantity(match, text, dates)
        if quantity is not None:
            found.append(quantity)
    return found


def _fraction(match: re.Match[str]) -> Quantity | None:
    upper, lower = int(match[1]), int(match[2])
    return Quantity(upper / lower, 2, 2, start=match.start(), end=match.end()) if lower else None


def _quantity(match: re.Match[str], text: str, dates: list[tuple[int, int]]) -> Quantity | None:
    number = _plain(match["digits"])
    value = float(number + (match["exponent"] or ""))
    if value and not _SMALLEST < value < _LARGEST:
        return None
    decimals = len(number.partition(".")[2]) if not match["exponent"] else 0
    unit = (match["unit"] or "").strip(" \u00a0-").lower()
    points = unit.startswith(("bp", "basis"))
    percent = points or unit.startswith(("%", "per", "pp", "p.p"))
    scale = None if percent or not unit else _SCALES.get(unit.rstrip(".")) or _SCALES.get(unit.rstrip("s."))
    kind = _kind(match, text, dates, plain=not (percent or scale or match["currency"]))
    signed = kind is not Kind.MARK and _negative(match, text, kind)
    if points:
        value, decimals = value / 100.0, decimals + 2
    around = text[max(0, match.start() - 40) : match.start()]
    return Quantity(
        value=-value if signed else value,
        decimals=decimals,
        digits=_significant(number),
        scale=scale,
        percent=percent,
        currency=bool(match["currency"]),
        signed=signed,
        loose=_DOWN.search(around) is not None
        or _DOWN.match(text[match.end() : match.end() + 20].lstrip()) is not None,
        kind=kind,
        start=match.start("digits"),
        end=match.end("unit") if match["unit"] else match.end("digits"),
    )


def _plain(digits: str) -> str:
    """The digits with a point for the decimals and nothing else.

    >>> [_plain(text) for text in ("1,234.5", "1.234,5", "1.234.567", "12,5", "1’234")]
    ['1234.5', '1234.5', '1234567', '12.5', '1234']
    """
    digits = re.sub("['’\u00a0\u2009\u202f]", "", digits)
    if digits.count(".") > 1 or 0 <= digits.find(".") < digits.find(","):
        return digits.replace(".", "").replace(",", ".")
    if re.fullmatch(r"\d+,\d{1,2}", digits):
        return digits.replace(",", ".")
    return digits.replace(",", "")


def _significant(number: str) -> int:
    """Digits that tell something: none of 0.05's zeros but all of 1.50's, and 36,000 may be rounded."""
    digits = number.replace(".", "").lstrip("0")
    if "." not in number and digits.endswith("000"):
        digits = digits.rstrip("0")
    return max(1, len(digits))


def _kind(match: re.Match[str], text: str, dates: list[tuple[int, int]], *, plain: bool) -> Kind:
    if not plain:
        return Kind.VALUE
    start, end = match.span("digits")
    digits = match["digits"]
    end = match.end("exponent") if match["exponent"] else end
    before, after = text[max(0, start - 14) : start], text[end : end + 14]
    if is_year(digits) or any(low <= start < high for low, high in dates):
        return Kind.DATE
    if digits.isdigit() and len(digits) <= 2 and (_BEFORE_DAY.search(before) or _AFTER_DAY.match(after)):
        return Kind.DATE
    if digits.isdigit() and (len(digits) <= 2 or digits == "100") and _WORKING.search(before):
        return Kind.MARK
    if len(digits) <= 2 and _IN_LIST.search(before) and _AFTER_IN_LIST.match(after) and len(text) > len(digits) + 1:
        return Kind.MARK
    footnote = before.endswith("(") and after.startswith(")") and digits.isdigit() and len(digits) <= 2
    if _BEFORE_MARK.search(before) or _AFTER_MARK.match(after) or (footnote and len(text) > len(digits) + 2):
        return Kind.MARK
    return Kind.VALUE


def is_year(digits: str) -> bool:
    """Whether it reads as a year of our time: 1900 to 2099, without a comma."""
    return len(digits) == 4 and digits.isdigit() and digits[:2] in ("19", "20")


def _negative(match: re.Match[str], text: str, kind: Kind) -> bool:
    if match["minus"]:
        taken = len(match["minus"]) > 1 and re.search(
            r"[\d)%][ \u00a0]$", text[max(0, match.start("minus") - 4) : match.start("minus")]
        )
        return kind is Kind.VALUE and not taken
    if match["inner"] and match["inner"][0] in "-−–":
        last = text[max(0, match.start("inner") - 1) : match.start("inner")]
        return bool(match["currency"]) or not (last.isalnum() or last in tuple(")%"))
    closed = bool(match["early"] or match["close"])
    if not (closed and (match["open"] or match["inner"])) or kind is not Kind.VALUE:
        return False
    alone = match.start() == 0 and match.end() == len(text)
    return alone or bool(match["currency"] or match["inner"]) or len(match["digits"]) > 2


_NAMES = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "000": 1e3, "k": 1e3, "m": 1e6, "mn": 1e6, "bn": 1e9}
_OF_TEXT = re.compile(
    r"\bin (?:[A-Za-z.$€£¥']{1,12} ){0,4}?(?P<a>thousand|million|billion)s\b|['’‘`](?P<b>000)s?\b|\b(?P<c>000)s\b"
    rf"|(?:{_CURRENCY})[ \u00a0]?(?:in )?(?P<d>thousand|million|billion|mn|bn|m|k)s?\b"
    r"|\((?:[A-Za-z.$€£¥]{1,12} ){0,3}(?P<e>thousand|million|billion)s?\b",
    re.IGNORECASE,
)
_OF_CELL = re.compile(r"(?P<a>thousand|million|billion)s?\b|\b(?P<b>m|mn|bn|k)[$€£¥]", re.IGNORECASE)


def hints(text: str) -> list[tuple[int, float]]:
    """Where a text says which scale its numbers have, and the scale.

    >>> hints("Costs (in thousands, except per share): 5")
    [(6, 1000.0)]
    """
    return [(match.start(), _named(match)) for match in _OF_TEXT.finditer(text)]


def cell_hint(text: str) -> float | None:
    """The scale that a label or a column's head gives, where it gives one."""
    match = _OF_TEXT.search(text) or _OF_CELL.search(text)
    return None if match is None or re.search(r"\d\s*$", text[: match.start()]) else _named(match)


def _named(match: re.Match[str]) -> float:
    return _NAMES[next(name for name in match.groups() if name).lower()]
