"""A text as a recogniser likes it: plain digits, dashes and blanks, nothing invisible; and the way back."""

import unicodedata
from dataclasses import dataclass

_BOUNDARY = "\u3001"
_SCRIPTS_WITHOUT_BLANKS = 0x0E00
PLAIN = "\\x00-\\x7f\u00c0-\u017e\u0400-\u0481"
"""Inside a regular expression's brackets: characters that every form of a text keeps. Most texts hold no other."""


@dataclass(frozen=True)
class Folded:
    """``text`` is what recognisers see; ``places[i]`` is where its character ``i`` stands in the text folded."""

    text: str
    places: list[int] | None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The characters ``[start, end)`` in the text that was folded, with what is invisible between them."""
        if self.places is None:
            return start, end
        return self.places[start], self.places[end - 1] + 1


class _Table(dict[int, str]):
    """What a character becomes, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        self[code] = folded = _fold(chr(code))
        return folded


def _fold(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Cf", "Mn", "Me"):
        return ""
    if category == "Nd":
        return str(unicodedata.digit(character))
    if category == "Zs":
        return " "
    if category == "Pd" or character == "\u2212":
        return "-"
    plain = unicodedata.normalize("NFKC", character)
    if len(plain) == 1 and plain.isascii():
        return plain
    # Where words are not set apart by blanks, an address begins right after a letter of another script.
    return _BOUNDARY if category == "Lo" and ord(character) >= _SCRIPTS_WITHOUT_BLANKS else character


_TABLE = _Table()


def fold(text: str) -> Folded:
    """The text with digits of all scripts as 0 to 9, full-width forms as ASCII, dashes as ``-``, blanks as spaces;
    combining marks, soft hyphens and characters without width are left out.

    >>> fold("\uff11\u00a0\u2013\u200b2").text
    '1 -2'
    """
    if text.isascii():
        return Folded(text, None)
    folded = text.translate(_TABLE)
    if len(folded) == len(text):
        return Folded(folded, None)
    return Folded(folded, [place for place, character in enumerate(text) if _TABLE[ord(character)]])
