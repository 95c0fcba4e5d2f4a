"""Where the sentences of a text end: by its marks, abbreviations aside."""

import re

_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]»*_]*+(?=\s|$)|[。！？।۔؟]+[”’」』）]*")
_NEVER = frozenset("mr mrs ms dr prof gen rep sen gov capt lt col sgt rev hon vs e.g i.e cf approx dept est mt".split())  # noqa: SIM905
"""Abbreviations with which no sentence ends."""
_MAY = frozenset("etc al inc ltd co corp jr sr bros ave blvd rd st ft".split())  # noqa: SIM905
"""Abbreviations with which a sentence ends where a capital letter follows."""
_BEFORE_NUMBERS = frozenset("no nos fig figs vol pp jan feb mar apr jun jul aug sep sept oct nov dec".split())  # noqa: SIM905
"""Abbreviations with which a sentence ends where no number follows."""
_BEFORE = re.compile(r"[^\s(\[\"'“‘*_]+$")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
_INITIAL_BEFORE = re.compile(r"[A-Z]\. ?[A-Z]$")
_NAME = re.compile(
    r" (?!(?:A|And|As|But|For|He|Her|His|How|I|If|In|It|Its|My|On|She|So|The|Then|There|These|They|This|"
    r"Those|To|We|What|When|Where|Who|Why|You|Your)\b)[^\W\d_]"
)
"""What follows an initial: no line's end, and none of the words that most often begin a sentence."""
_LIST_NUMBER = re.compile(r"[ \t>*#-]*\(?(?:\d{1,3}|[A-Za-z]|[ivx]{1,4})$")


def count(text: str) -> int:
    """How many sentences; what has no letter or digit is none.

    >>> count("Dr. Who paid $3.50. Why? No one knows..."), count("1. Call us.\\n2. Wait")
    (3, 2)
    """
    total, start = 0, 0
    for found in _END.finditer(text):
        if _ends(text, found):
            total += _is_said(text[start : found.start()])
            start = found.end()
    return total + _is_said(text[start:])


def _ends(text: str, found: "re.Match[str]") -> bool:
    if found[0].rstrip("\"'”’)]»*_") != ".":
        return True
    follows = text[found.end() : found.end() + 20]
    if _numbers_a_list(text, found.start(), follows):
        return False
    before = _BEFORE.search(text[max(0, found.start() - 20) : found.start()])
    word, next_one = before[0] if before else "", follows.lstrip()[:1]
    match word.lower():
        case low if low in _NEVER:
            return not next_one
        case low if low in _MAY:
            return not next_one or next_one.isupper()
        case low if low in _BEFORE_NUMBERS:
            return not next_one.isdigit()
    if len(word) == 1 and word.isupper():
        initials = _INITIAL_BEFORE.search(text, max(0, found.start() - 4), found.start())
        return not next_one.islower() and ((word == "I" and not initials) or not _NAME.match(follows))
    if _INITIALS.fullmatch(word) and len(word) > 2:
        return not next_one or next_one.isupper()
    return True


def _numbers_a_list(text: str, place: int, follows: str) -> bool:
    """Whether the full stop at a place stands after the number of a list, with the list's words after it."""
    line = text.rfind("\n", max(0, place - 12), place) + 1
    if line == 0 and place > 12:
        return False
    return bool(follows[:1] in " \t" and follows.strip() and _LIST_NUMBER.fullmatch(text[line:place]))


def _is_said(piece: str) -> bool:
    return any(map(str.isalnum, piece))
