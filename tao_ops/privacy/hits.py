"""What a recogniser found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hit:
    """Characters ``[start, end)`` of a text, their kind, and the value in the one form that all its writings share."""

    start: int
    end: int
    kind: str
    value: str
