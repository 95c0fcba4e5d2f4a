"""``strict_json``: the response is one JSON object with exactly the expected keys, and nothing around it."""

from collections.abc import Sequence

from tao_ops.answers import strict_object
from tao_ops.records import Candidate


def fields(text: str, keys: Sequence[str]) -> dict[str, str] | None:
    """The object's values where it has exactly ``keys``, each a text without blanks at its ends; else None."""
    value = strict_object(text)
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
