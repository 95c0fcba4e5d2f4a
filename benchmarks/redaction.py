"""``redaction``: messages a second on one core, and what is found, beside Presidio's analyzer.

The mix: 10,000 messages of 40 to 600 characters; 15 % hold something personal, another 30 % a number that only looks so
(an order, a date, a price, a version, …). Presidio's ``AnalyzerEngine`` has its recognisers for the same kinds and
countries (but none for secrets), a blank spaCy model, and sees every twentieth message; the two take turns.
``TAO_BENCH_REPEATS`` (default 5) says how often.
"""

import os
import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from random import Random
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from benchmarks.report import Row, median, spread, write
from tao_ops.config import PersonalKind
from tao_ops.privacy import Redactor
from tests.tao_ops.privacy import labelled, labelled_values
from tests.tao_ops.privacy.labelled import Find, Measure, Span

MESSAGES, PERSONAL, ALIKE, EVERY = 10_000, 0.15, 0.30, 20
GOAL = 5_000.0
_PEER = "Presidio's AnalyzerEngine"
_SENTENCES = """
The order never came and I would like to know when it will be sent again because my jacket is still missing. Please tell
me what to do next, thanks a lot for your help. We bought two lamps last week; one of them is broken: is there any way
to return it without the box, how long does that take, and who pays? Für den Versand möchten wir gern wissen, ob ...
"""
_WORDS = _SENTENCES.split()
_SEEMING = ("order", "tracking", "price", "date", "european_date", "time", "version", "uuid", "sha", "package", "unix")
_ENTITIES = {
    "EMAIL_ADDRESS": PersonalKind.EMAIL,
    "PHONE_NUMBER": PersonalKind.PHONE,
    "CREDIT_CARD": PersonalKind.CARD,
    "IBAN_CODE": PersonalKind.IBAN,
    "IP_ADDRESS": PersonalKind.IP,
}


def run() -> None:
    """Measure both, in turn, print how well each finds, and write the result."""
    repeats = int(os.environ.get("TAO_BENCH_REPEATS") or 5)
    redactor, analyzer = Redactor(labelled.CONFIG), _analyzer()
    texts = mix()
    ours, peer = [], []
    for _ in range(repeats):
        ours.append(rate(redactor, texts))
        peer.append(_peer(analyzer, texts[::EVERY]))
    ratios = [one / other for one, other in zip(ours, peer, strict=True)]
    goal, met = f"at least {GOAL:.0f}", median(ours) >= GOAL
    name = "redaction"
    rows = [Row(name, "messages/s", median(ours), median(peer), _PEER, median(ratios), goal, met, spread(ratios))]
    write("redaction", [*rows, *_accuracy(analyzer)], repeats)


def mix(seed: int = 7) -> list[str]:
    """The messages, the same ones for the same seed."""
    rng = Random(seed)
    return [_message(rng) for _ in range(MESSAGES)]


def _message(rng: Random) -> str:
    room, words = rng.randint(40, 600), list[str]()
    rest: dict[str, list[labelled_values.Value]] = {}
    chance = rng.random()
    if chance < PERSONAL + ALIKE:
        slots = tuple(labelled_values.TUNING) if chance < PERSONAL else _SEEMING
        slot = rng.choice(slots)
        value = labelled_values.value(slot, labelled_values.TUNING, rng, rest)
        words = [f"password: {value}" if slot == "password" else value]
        room -= len(words[0]) + 1
    while room > 0:
        words.append(rng.choice(_WORDS))
        room -= len(words[-1]) + 1
    rng.shuffle(words)
    return " ".join(words)[:600]


def rate(redactor: Redactor, texts: Sequence[str]) -> float:
    """Messages a second, those that need no second look among them."""
    column = pa.array(texts)
    started = time.perf_counter()
    for text, suspect in zip(texts, redactor.maybe(column).to_pylist(), strict=True):
        if suspect:
            redactor.together([text])
    return len(texts) / (time.perf_counter() - started)


def _peer(analyzer: Any, texts: Sequence[str]) -> float:
    started = time.perf_counter()
    for text in texts:
        analyzer.analyze(text, "en")
    return len(texts) / (time.perf_counter() - started)


def _analyzer() -> Any:
    import spacy
    import tldextract
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer import predefined_recognizers as known
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    # Its e-mail recogniser would fetch the list of public suffixes.
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)  # type: ignore[assignment]
    recognizers = [
        known.EmailRecognizer(),
        known.PhoneRecognizer(supported_regions=labelled_values.REGIONS),
        known.CreditCardRecognizer(),
        known.IbanRecognizer(),
        known.IpRecognizer(),
    ]
    engine = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": "blank"}])
    engine.nlp = {"en": spacy.blank("en")}
    registry = RecognizerRegistry(recognizers=recognizers, supported_languages=["en"])
    return AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])


def _accuracy(analyzer: Any) -> list[Row]:
    """Print precision and recall per kind on the held half of the labelled set, ours and Presidio's; ours as rows."""

    def presidio(text: str) -> AbstractSet[Span]:
        return {Span(found.start, found.end, _ENTITIES[found.entity_type]) for found in analyzer.analyze(text, "en")}

    held = labelled.messages("held")
    finds: tuple[Find, ...] = (labelled.spans(Redactor(labelled.CONFIG)), presidio)
    ours, peer = (labelled.measure(find, held) for find in finds)
    table = Table("kind", "n", "precision", "recall", "Presidio's precision", "Presidio's recall", title="held half")
    rows = []
    for kind in PersonalKind:
        theirs = _shown(peer[kind]) if kind in _ENTITIES.values() else ("", "")
        table.add_row(kind.value, str(ours[kind].there), *_shown(ours[kind]), *theirs)
        for figure, goal in (("precision", 0.97), ("recall", 0.98)):
            value, other = round(getattr(ours[kind], figure), 4), round(getattr(peer[kind], figure), 4)
            known = kind in _ENTITIES.values()
            what = f"{kind.value}, {figure}"
            ratio = round(value / other, 3) if known and other else None
            rows.append(
                Row(what, "share", value, other if known else None, _PEER, ratio, f"at least {goal}", value >= goal)
            )
    Console().print(table)
    return rows


def _shown(measure: Measure) -> tuple[str, str]:
    shares = ((measure.precision, measure.found), (measure.recall, measure.there))
    limits = (labelled.wilson(measure.right, measure.found), labelled.wilson(measure.right, measure.there))
    first, second = (
        f"{share:.3f} [{low:.3f}, {high:.3f}]" if of else "none found"
        for (share, of), (low, high) in zip(shares, limits, strict=True)
    )
    return first, second
