"""Words of a text in any script: what flags and monitors count.

Some scripts put no blanks between words. There each letter is an item of its own, and so many of them count as one
word as a word of that script has on average: two in Chinese and Japanese, five in Thai, Lao, Khmer and Burmese.
"""

import re

_IDEOGRAPHS = (
    r"\u2e80-\u2fdf\u3005-\u3007\u3021-\u303a\u3041-\u30fa\u30fc-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    r"\uf900-\ufaff\uff66-\uff9f\U00020000-\U000323af"
)
_SOUTH_EAST = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_MARKS = (
    r"\s!-/:-@\[-^`{-~\x00-\x1f\x7f-\xa9\xab-\xb1\xb4\xb6-\xb8\xbb\xbf\u0f0b-\u0f14\u2000-\u206f\u20a0-\u20cf"
    r"\u2190-\u2bff\u2e00-\u2e7f\u3000-\u3004\u3008-\u3020\u303b-\u303f\u30fb\ud800-\uf8ff\ufe00-\ufe0f"
    r"\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\U0001f000-\U0001faff\U000e0000-\U000e0fff"
)
"""Blanks, punctuation, symbols, emoji, and what is no character."""
_LETTER = f"[^{_IDEOGRAPHS}{_SOUTH_EAST}{_MARKS}]"

_ITEM = re.compile(f"(?P<ideograph>[{_IDEOGRAPHS}])|(?P<letter>[{_SOUTH_EAST}])|{_LETTER}+(?:[-'’.,]{_LETTER}+)*")
_TENTHS = {"ideograph": 5, "letter": 2, None: 10}
"""Tenths of a word that an item is worth."""


def items(text: str) -> list[str]:
    """The words, or letters where words have no blanks between them, in lower case; no punctuation, no emoji alone.

    >>> items("Don't pay 3.50 — it's late!"), items("我的订单"), items('{"a":"x_y"}')
    (["don't", 'pay', '3.50', "it's", 'late'], ['我', '的', '订', '单'], ['a', 'x_y'])
    """
    return [match[0].casefold() for match in _ITEM.finditer(text)]


def count(text: str) -> int:
    """How many words, rounded up.

    >>> count("Where is it?"), count("我的订单在哪里"), count("?!"), count("สวัสดีครับ")
    (3, 4, 0, 2)
    """
    tenths = sum(_TENTHS[match.lastgroup] for match in _ITEM.finditer(text))
    return -(-tenths // 10)


def beginning(text: str, words: int) -> tuple[str, ...]:
    """The items of the first ``words`` words; all of them where the text is shorter."""
    found, tenths = [], 0
    for match in _ITEM.finditer(text):
        if tenths >= 10 * words:
            break
        found.append(match[0].casefold())
        tenths += _TENTHS[match.lastgroup]
    return tuple(found)
