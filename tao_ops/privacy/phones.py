"""Telephone numbers."""

import re
from collections.abc import Callable, Iterator, Sequence

import phonenumbers

from tao_ops.privacy.hits import Hit
from tao_ops.privacy.suspects import SEPARATOR

_RUN = re.compile(rf"[+(]{{0,2}}[0-9](?:[+{SEPARATOR[1:-1]}]{{0,4}}[0-9]){{6,}}")
_AROUND = 3
"""Characters beside a run that ``phonenumbers`` must see: a letter or a currency says that it is no telephone."""
# The matcher takes "…, #381027" for an extension: what follows a comma or a hash is the writer's, not the number's.
_ASIDE = re.compile(r"\s*[,;#]")
_OTHERWISE = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"  # a UUID
    r"|(?<!\d)\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2})?)?(?!\d)"  # dates
    r"|(?<![\d:])\d{1,2}:\d{2}:\d{2}(?:[.,]\d+)?(?![\d:])"  # and times
    r"|(?<![\d.+])\d{1,2}[./]\d{1,2}[./](?:\d{4}|\d{2})(?![./]?\d)"
    r"|(?<![\d.+])(?<!\d[ \-/(])(?!0\d)\d{1,4}\.\d{5,}(?!\d)"  # decimal numbers
    r"|(?<![\d./\-+])(?<!\d[ (])\d+\.\d{1,2}(?![.\d]|[ \-]\d)"
    r"|(?<![\d./\-+(])(?<!\d[ (])\d{1,4}\.\d{1,2}(?: \d{1,4}\.\d{1,2})+(?![.\d])"  # and a row of a table of them
    r"|(?<![\d./\-+])\d+\.\d+(?= ?[\-+*/=] ?\d+\.\d)"
    r"|(?<![\d.+])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)"  # an Internet address, or a version
    r"|(?<![\d+\-])\d{4}(?P<sign>[ \-])\d{4}(?P=sign)\d{4}(?P=sign)\d{4}(?!\d)"  # a wrong card
    r"|(?<![\d.,+\-(/])(?<!\d )[1-9]\d?(?: \d{3}){2,}(?![ \-]?\d)"  # thousands
    r"|(?<![\d\-])(?<!\d[ ).])[1-9]\d{4}-\d{4}(?![\d\-])"  # a ZIP code
    r"|(?<![A-Z0-9])(?-i:[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{4}){2,7}(?:[ -]?[A-Z0-9]{1,3})?)(?![A-Z0-9])",  # a wrong IBAN
    re.IGNORECASE,
)
_LONGEST_OTHERWISE = 40
_NAMED_OTHERWISE = re.compile(
    r"(?i)(?:#|\$|€|£|=|\b(?:(?-i:[A-Z]{1,4})-|orders?|invoice|tracking|parcel|ticket|case|isbn|ean|upc|sku|imei|serial|lot|po"
    r"|\w*id|ids|ref|reference|epoch|unix|ts|timestamp|account|konto|customer|rechnung|bestell\w*|kunden\w*"
    r"|commande|facture|pedido|factura|zam\w*|version))(?: ?(?:no|nr|number|num|id)\b\.?)?[ :=#(\"']{0,5}$"
)
_SUM_INSIDE = re.compile(r"^[^0(].* [\-/] |/ |\([^)]*[^\d )][^)]*\)")
_SUM_AFTER = re.compile(r"\s{0,2}[=*^%]")
_SUM_BEFORE = re.compile(r"[*^%]\s{0,2}$|<<$")
_AREA = re.compile(r"\(\d{2,5}\)")
_BARE = range(9, 12)
"""A national number with nothing between its digits has so many; fewer are a count, more an identifier."""
_TELEPHONE = re.compile(r"(?i)tel|phone|mobil|cell|call|fax|whats|handy|numero|n\u00famero")


def phone(regions: Sequence[str]) -> Callable[[str], Iterator[Hit]]:
    """Finds numbers that ``phonenumbers`` (Google's libphonenumber) holds valid: written internationally anywhere, or
    in the national form of one of ``regions``.

    Presidio's ``PhoneRecognizer`` puts the whole text to the same matcher once per country and takes order numbers
    and dates too; here the matcher sees runs of digits only, and a national number of bare digits that is named
    otherwise ("order 2125550199") stays.
    """

    def phones(text: str) -> Iterator[Hit]:
        first_run = _RUN.search(text)
        begin = max(first_run.start() - _LONGEST_OTHERWISE, 0) if first_run else len(text)
        masked = text[:begin] + _OTHERWISE.sub(lambda other: "\n" * len(other[0]), text[begin:])
        for run in _RUN.finditer(masked):
            first = max(run.start() - _AROUND, 0)
            window = masked[first : run.end() + _AROUND]
            if "+" in run[0]:
                # The matcher takes a slash for the end of one number and the beginning of another.
                window = window.replace("/", "-")
            taken = 0
            for match in _matches(window, regions):
                start, end = first + match.start, first + _end(match)
                if start >= taken and not _is_otherwise(masked, start, end):
                    taken = end
                    number = phonenumbers.format_number(match.number, phonenumbers.PhoneNumberFormat.E164)
                    yield Hit(start, end, "phone", number)

    return phones


def _matches(window: str, regions: Sequence[str]) -> list[phonenumbers.PhoneNumberMatch]:
    """What any region's matcher finds, by place; the longer first where they begin together."""
    found = [
        match
        for region in regions or (None,)
        for match in phonenumbers.PhoneNumberMatcher(window, region, leniency=phonenumbers.Leniency.VALID)
    ]
    return sorted(found, key=lambda match: (match.start, -match.end))


def _end(match: phonenumbers.PhoneNumberMatch) -> int:
    aside = _ASIDE.search(match.raw_string)
    return match.end if aside is None else match.start + aside.start()


def _is_otherwise(text: str, start: int, end: int) -> bool:
    """Whether a national number is more likely an identifier or a sum."""
    number = text[start:end]
    if number.lstrip("( ").startswith(("+", "00")) or text[:start].endswith(("+", "+ ")):
        return False
    if _SUM_INSIDE.search(number) or _SUM_AFTER.match(text, end) or _SUM_BEFORE.search(text, max(start - 4, 0), start):
        return True
    before = text[max(start - 24, 0) : start]
    if _TELEPHONE.search(before) or _AREA.match(number):
        return False
    return _NAMED_OTHERWISE.search(before) is not None or (
        number.isdigit() and number[0] != "0" and len(number) not in _BARE
    )
