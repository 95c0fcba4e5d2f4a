"""Metrics: one response and its reference → a score in [0, 1]."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tao_ops.answers import strict_object

Metric = Callable[[str, Mapping[str, Any]], float]


def exact_json(output: str, reference: Mapping[str, Any]) -> float:
    """1.0 where the output is one strict JSON object equal to ``reference``, blanks around it aside; else 0.0.

    Equal means the same keys, each once, and the same values of the same types; their order is free.

    >>> exact_json(' {"city": "Oslo", "n": 1} ', {"n": 1, "city": "Oslo"})
    1.0
    >>> exact_json('{"city": "Oslo", "n": true}', {"n": 1, "city": "Oslo"})
    0.0
    """
    found = strict_object(output)
    return float(found is not None and _canonical(found) == _canonical(dict(reference)))


def exact_text(output: str, reference: Mapping[str, Any]) -> float:
    """1.0 where the output is the reference's one text, blanks aside; else 0.0. Case and punctuation count.

    >>> exact_text(" late  card\\n", {"answer": "late card"}), exact_text("Late card", {"answer": "late card"})
    (1.0, 0.0)
    """
    return float(output.split() == as_text(reference).split())


def as_text(reference: Mapping[str, Any]) -> str:
    """A reference as scorers take it: the one value that it holds as a text, or all of it as JSON.

    >>> as_text({"answer": "72"}), as_text({"n": 72}), as_text({"a": 1, "b": 2})
    ('72', '72', '{"a": 1, "b": 2}')
    """
    if len(reference) == 1:
        (value,) = reference.values()
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return json.dumps(dict(reference), ensure_ascii=False)


def _canonical(value: dict[str, Any]) -> str:
    # As text, since Python takes 1, 1.0 and True for equal.
    return json.dumps(value, sort_keys=True)


METRICS: Mapping[str, Metric] = {"exact_json": exact_json, "exact_text": exact_text}
"""Metrics by the name that a flywheel's YAML uses."""
