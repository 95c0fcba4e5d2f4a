"""Reading an answer: the one parser of JSON that rewards and metrics share."""

import json
import re
from typing import Any, NoReturn

DEEPEST = 200
"""A value that is nested deeper is not read: parsers may set a limit (RFC 8259, section 9), and Python's varies."""
_NESTING = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
"""A text or a bracket. A text that is never closed reaches to the end: a search within it would begin at each quote."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def strict_json(text: str) -> Any:
    """The text as one strict JSON value: no repeated key, no NaN, nothing around it but blanks.

    Raises:
        ValueError: it is none, is nested deeper than :data:`DEEPEST`, or holds half a surrogate pair.

    >>> strict_json(' [1, {"a": null}]')
    [1, {'a': None}]
    """
    text.encode()  # a lone surrogate is no text: an error of encoding is a ValueError
    _check_nesting(text)
    value = json.loads(text.strip(), object_pairs_hook=_distinct_keys, parse_constant=_refuse)
    if _SURROGATE.search(text):
        json.dumps(value, ensure_ascii=False).encode()
    return value


def strict_object(text: str) -> dict[str, Any] | None:
    """The text as one strict JSON object: no repeated key, no NaN, nothing around it but blanks; else None.

    >>> strict_object(' {"a": "b"}')
    {'a': 'b'}
    >>> strict_object('{"a": 1, "a": 2}') is strict_object('Sure! {"a": 1}') is None
    True
    """
    try:
        value = strict_json(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _check_nesting(text: str) -> None:
    if text.count("[") + text.count("{") <= DEEPEST:
        return
    depth = 0
    for found in _NESTING.finditer(text):
        token = found[0]
        depth += (token in "[{") - (token in "]}")
        if depth > DEEPEST:
            raise ValueError("nested too deep")


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is there twice")
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
