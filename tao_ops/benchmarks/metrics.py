"""Metrics: one response and its reference → a score in [0, 1]."""

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

Metric = Callable[[str, Mapping[str, Any]], float]


def exact_json(output: str, reference: Mapping[str, Any]) -> float:
    """1.0 where the output is one strict JSON object equal to ``reference``, blanks around it aside; else 0.0.

    Equal means the same keys, each once, and the same values of the same types; their order is free.

    >>> exact_json(' {"city": "Oslo", "n": 1} ', {"n": 1, "city": "Oslo"})
    1.0
    >>> exact_json('{"city": "Oslo", "n": true}', {"n": 1, "city": "Oslo"})
    0.0
    """
    try:
        found = json.loads(output.strip(), object_pairs_hook=_distinct_keys, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return 0.0
    return float(isinstance(found, dict) and _canonical(found) == _canonical(dict(reference)))


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _canonical(value: dict[str, Any]) -> str:
    # As text, since Python takes 1, 1.0 and True for equal.
    return json.dumps(value, sort_keys=True)


METRICS: Mapping[str, Metric] = {"exact_json": exact_json}
"""Metrics by the name that a flywheel's YAML uses."""
