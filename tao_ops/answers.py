"""Reading an answer: the one parser of JSON that rewards and metrics share."""

import json
from typing import Any, NoReturn


def strict_object(text: str) -> dict[str, Any] | None:
    """The text as one strict JSON object: no repeated key, no NaN, nothing around it but blanks; else None.

    >>> strict_object(' {"a": "b"}')
    {'a': 'b'}
    >>> strict_object('{"a": 1, "a": 2}') is strict_object('Sure! {"a": 1}') is None
    True
    """
    try:
        value = json.loads(text.strip(), object_pairs_hook=_distinct_keys, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is there twice")
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
