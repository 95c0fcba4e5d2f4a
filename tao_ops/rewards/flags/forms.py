"""What form an answer has, where a flag that is meant for prose would misread it."""

import json
import re
from typing import Any

_FENCED = re.compile(r"```[^\n`]*\n(.*)\n?```", re.DOTALL)
_SQL = re.compile(
    r"(?:select\b.*\bfrom\b|with\s+(?:recursive\s+)?\w+\s+as\s*\(|insert\s+into\b|update\s+\w+\s+set\b|delete\s+from\b"
    r"|create\s+(?:table|view|index)\b|<\?xml|<!doctype|#!)",
    re.IGNORECASE | re.DOTALL,
)
_SIGNS = frozenset("{}[]()<>=;_/\\|*&^%$#@~+`")
_MANY_SIGNS = 0.12
"""Share of an answer's characters that are code's signs, above which it is no prose; in prose it is a fiftieth."""


def json_texts(text: str) -> list[str] | None:
    """The texts in a JSON object or array, keys left out; None where the answer is neither.

    >>> json_texts('{"a": ["x", {"b": "y"}], "c": 1}'), json_texts('"x"'), json_texts("Sure!")
    (['x', 'y'], None, None)
    """
    text = text.strip()
    if match := _FENCED.fullmatch(text):
        text = match[1].strip()
    if text[:1] not in ("{", "["):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return _texts(value)


def is_code(text: str) -> bool:
    """Whether the answer is a program, a query or markup, and not prose; sums in full count as a program, too.

    >>> is_code("SELECT name FROM city"), is_code("x = f(y[0])"), is_code("Choose a city from the list.")
    (True, True, False)
    """
    solid = sum(not c.isspace() for c in text)
    return begins_as_code(text) or (solid > 0 and sum(c in _SIGNS for c in text) > _MANY_SIGNS * solid)


def begins_as_code(text: str) -> bool:
    """Whether the answer is fenced, or its first words are those of SQL, markup or a script.

    >>> begins_as_code("```\\nx = 1\\n```"), begins_as_code("with t as (select 1)"), begins_as_code("6 * 7 = 42")
    (True, True, False)
    """
    text = text.strip()
    return _FENCED.fullmatch(text) is not None or _SQL.match(text) is not None


def _texts(value: Any) -> list[str]:
    found, left = [], [value]
    while left:
        match left.pop():
            case str() as text:
                found.append(text)
            case dict() as fields:
                left += reversed(fields.values())
            case list() as values:
                left += reversed(values)
    return found
