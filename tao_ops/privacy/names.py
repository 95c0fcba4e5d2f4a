"""Names of persons, where a language model that finds them is installed."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from tao_ops.privacy.hits import Hit
from tao_ops.privacy.presidio import without_deep_learning


@dataclass(frozen=True)
class Names:
    """The installed models as one finder. ``version`` names them, as ``en_core_web_sm-3.8.0``."""

    version: str
    find: Callable[[str], list[Hit]]


def load() -> Names | None:
    """Every installed spaCy model ``*_core_*`` that recognises entities, through Presidio; None where there is none.

    The language of a message is not known, so each model reads each message.
    """
    installed = sorted({entry.name for entry in entry_points(group="spacy_models") if "_core_" in entry.name})
    if not installed:
        return None
    # Of spaCy's models only those on transformers want torch.
    with nullcontext() if any(name.endswith("_trf") for name in installed) else without_deep_learning():
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
        from presidio_analyzer.predefined_recognizers import SpacyRecognizer

        engine = SpacyNlpEngine(models=[{"lang_code": name, "model_name": name} for name in installed])
        engine.load()
    loaded: dict[str, Any] = dict(engine.nlp or {})
    models = {name: model for name, model in loaded.items() if "ner" in model.pipe_names}
    if not models:
        return None
    recognizers = {name: SpacyRecognizer(name, supported_entities=["PERSON"]) for name in models}

    def find(text: str) -> list[Hit]:
        return [
            Hit(found.start, found.end, "name", text[found.start : found.end].casefold())
            for name, recognizer in recognizers.items()
            for found in recognizer.analyze(text, ["PERSON"], engine.process_text(text, name))
        ]

    version = "+".join(f"{name}-{model.meta['version']}" for name, model in models.items())
    return Names(version, find)
