"""What a constraint is: how a text is checked, and which arguments that takes."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

RELATIONS = ("less than", "at least")
_BEFORE_WORDS = re.compile(r"[ \t\"“>*_#\[(]*+(?:\d{1,3}[.)][ \t]++)?[*_]*+")


@dataclass(frozen=True)
class Rule:
    """One kind of constraint.

    Attributes:
        follows: whether a text, with blanks at most at its ends, follows it; None where that cannot be told.
        arguments: by name, what each has to be: gives what is wrong with a value, or nothing.
        together: gives what is wrong with all arguments together, or nothing.
    """

    follows: Callable[..., bool | None]
    arguments: Mapping[str, Callable[[Any], str]] = field(default_factory=dict)
    together: Callable[..., str] = lambda **_: ""

    def complaint(self, arguments: Mapping[str, Any]) -> str:
        """What is wrong with the arguments; empty where nothing is."""
        for name in self.arguments:
            if name not in arguments:
                return f"needs {name!r}"
        for name, value in arguments.items():
            if name not in self.arguments:
                return f"takes no {name!r}"
            if wrong := self.arguments[name](value):
                return f"has {name!r} = {value!r}, which is {wrong}"
        return self.together(**arguments)


def holds(count: int, relation: str, threshold: int) -> bool:
    """Whether the count is in the relation to the threshold."""
    return count < threshold if relation == "less than" else count >= threshold


def a_count(value: Any) -> str:
    """A whole number from 0 on."""
    return "" if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else "no whole number from 0 on"


def a_relation(value: Any) -> str:
    """One of :data:`RELATIONS`."""
    return "" if value in RELATIONS else f"none of {RELATIONS}"


def a_text(value: Any) -> str:
    """A text that is not blank."""
    return "" if isinstance(value, str) and value.strip() else "no text"


def texts(value: Any) -> str:
    """One or more of them."""
    return "" if isinstance(value, list | tuple) and value and not any(map(a_text, value)) else "no list of texts"


def beginnings(line: str) -> tuple[str, str]:
    """A line without blanks before it, and without quotes, markup and the number of a list before it, too."""
    found = _BEFORE_WORDS.match(line)
    return line.lstrip(), line[found.end() :] if found else line
