"""The one model that tells languages apart, for the constraint and for the flag."""

from functools import cache
from typing import Any


@cache
def identifier() -> Any:
    """py3langid's identifier with the model of its package, which takes half a second to read."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
