"""Payment cards and bank accounts."""

import re
from collections.abc import Callable, Iterator
from functools import partial

from tao_ops.privacy.hits import Hit
from tao_ops.privacy.presidio import patterns, without_deep_learning

# Presidio's own expression knows no groups of 4-6-5 (American Express) and no number of 18 or 19 digits.
_CARDS = (
    r"(?<![A-Za-z\d])(?<!\d[.,])\d{14,19}(?![\d])(?![.,]\d)",
    r"(?<![A-Za-z\d])(?<!\d[.,\-])\d{4}([ .\-])\d{4}\1\d{4}\1\d{3,4}(?:\1?\d{1,3})?(?!\d)(?![.,\-]\d)",
    r"(?<![A-Za-z\d])(?<!\d[.,\-])\d{4}[ .\-]\d{6}[ .\-]\d{4,5}(?!\d)(?![.,\-]\d)",
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ \-]?[A-Za-z0-9]){11,30}", re.ASCII)
_LENGTHS = {
    country: int(length)
    for country, length in re.findall(
        "(..)(..) ?",
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
        "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 "
        "LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 "
        "PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 "
        "YE30",
    )
}
"""Characters of a number by country (SWIFT, IBAN registry)."""

_BRANDS: tuple[tuple[str, range], ...] = (
    (r"4", range(16, 20)),  # Visa; its numbers of 13 digits are no longer issued, and many an EAN looks like one
    (r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", range(16, 17)),  # Mastercard
    (r"3[47]", range(15, 16)),  # American Express
    (r"30[0-5]|36|3[89]", range(14, 20)),  # Diners Club
    (r"6011|64[4-9]|65", range(16, 20)),  # Discover
    (r"352[89]|35[3-8]", range(16, 20)),  # JCB
    (r"62|81", range(16, 20)),  # UnionPay
    (r"50|5[6-8]|6304|67", range(12, 20)),  # Maestro
    (r"220[0-4]", range(16, 20)),  # Mir
    (r"60|82", range(16, 17)),  # RuPay
)
"""First digits and lengths (ISO/IEC 7812 issuers)."""


def card() -> Callable[[str], Iterator[Hit]]:
    """Finds numbers of the length and first digits of a brand, whole or in its groups, that pass Luhn's check."""
    with without_deep_learning():
        from presidio_analyzer.predefined_recognizers import CreditCardRecognizer

    find = patterns(
        "CREDIT_CARD", _CARDS, partial(CreditCardRecognizer, replacement_pairs=[("-", ""), (" ", ""), (".", "")])
    )
    brands = [(re.compile(first), lengths) for first, lengths in _BRANDS]

    def cards(text: str) -> Iterator[Hit]:
        for start, end in find(text):
            number = re.sub(r"\D", "", text[start:end])
            if any(first.match(number) and len(number) in lengths for first, lengths in brands):
                yield Hit(start, end, "card", number)

    return cards


def iban() -> Callable[[str], Iterator[Hit]]:
    """Finds numbers of a country's length that pass the check modulo 97 (ISO 13616), in either case.

    Presidio's recogniser takes the words that follow for groups of the number, holds Portugal's to be 21 characters
    long, and lacks a dozen countries.
    """

    def ibans(text: str) -> Iterator[Hit]:
        at = 0
        while candidate := _IBAN.search(text, at):
            at = candidate.start() + 1
            end = _end(text, candidate)
            number = re.sub("[ -]", "", text[candidate.start() : end]).upper()
            if end and int("".join(str(int(sign, 36)) for sign in number[4:] + number[:4])) % 97 == 1:
                yield Hit(candidate.start(), end, "iban", number)
                at = end

    return ibans


def _end(text: str, candidate: re.Match[str]) -> int:
    """Where a number of the country's length ends; 0 where it ends inside a word, or there is no such country."""
    left = _LENGTHS.get(candidate[0][:2].upper(), 0)
    for place in range(candidate.start(), candidate.end()):
        left -= text[place].isalnum()
        if left == 0:
            return 0 if text[place + 1 : place + 2].isalnum() else place + 1
    return 0
