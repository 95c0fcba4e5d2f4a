"""``strict_json``: the response is one JSON object with exactly the expected keys, and nothing around it."""

import json
from collections.abc import Sequence
from typing import Any

from tao_ops.records import Candidate


def parse(text: str) -> dict[str, Any] | None:
    """The text as one strict JSON object: no repeated key, no NaN, nothing around it but blanks; else None.

    >>> parse('{"a": "b"}')
    {'a': 'b'}
    >>> parse('{"a": 1, "a": 2}') is parse('Sure! {"a": 1}') is None
    True
    """
    try:
        value = json.loads(text, object_pairs_hook=_no_repeats, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def fields(text: str, keys: Sequence[str]) -> dict[str, str] | None:
    """The object's values where it has exactly ``keys``, each a text without blanks at its ends; else None."""
    value = parse(text)
    if value is None or set(value) != set(keys):
        return None
    if not all(isinstance(v, str) and v and v == v.strip() for v in value.values()):
        return None
    return value


def score(batch: Sequence[Candidate], *, keys: Sequence[str]) -> list[float]:
    """1 where the text is strict JSON with exactly ``keys``, each value a text that is not blank; else 0.

    >>> score([Candidate("q", "Anna here", '{"customer": "Anna"}'), Candidate("q", "Anna here", "Anna")],
    ...       keys=["customer"])
    [1.0, 0.0]
    """
    return [float(fields(candidate.text, keys) is not None) for candidate in batch]


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("repeated key")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
