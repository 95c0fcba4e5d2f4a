"""Presidio's recognisers, without the language models and deep-learning libraries that its package would load."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_HEAVY = ("torch", "transformers")


@contextmanager
def without_deep_learning() -> Iterator[None]:
    """Import Presidio here. Its package and spaCy's try to import torch and transformers and do well without them:
    for pattern recognisers, that is 13 seconds of imports instead of 2."""
    hidden = [name for name in _HEAVY if name not in sys.modules]
    # None in sys.modules is the language's own way to say that a module cannot be imported.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


Spans = Callable[[str], Iterator[tuple[int, int]]]


def spans(recognizer: Any) -> Spans:
    """A recogniser as a function from a text to the spans that it finds."""
    entities: list[str] = recognizer.supported_entities

    def find(text: str) -> Iterator[tuple[int, int]]:
        for result in recognizer.analyze(text, entities):
            yield result.start, result.end

    return find


def patterns(entity: str, expressions: Sequence[str], recognizer: Callable[..., Any] | None = None) -> Spans:
    """A pattern recogniser of Presidio's over expressions of ours, checked as ``recognizer`` checks its own."""
    with without_deep_learning():
        from presidio_analyzer import Pattern, PatternRecognizer
    ours = [Pattern(entity, expression, 0.5) for expression in expressions]
    if recognizer is None:
        # Tokens differ by case; an expression that does not says so itself.
        return spans(PatternRecognizer(entity, patterns=ours, global_regex_flags=0))
    return spans(recognizer(patterns=ours))
