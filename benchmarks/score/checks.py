"""Scorers that read responses alone, or with their query: schema, spans, votes, pattern, label, flags; and by hand."""

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.score import data
from benchmarks.score.contests import Contest
from tao_ops.config import ConsensusConfig, LanguageConfig, LengthConfig, RefusalConfig, RepetitionConfig
from tao_ops.records import Candidate
from tao_ops.rewards import consensus, flags, grounding, json_schema, label, regex
from tao_ops.rewards.consensus import json_answer

KEYS = ("customer", "product", "city")
PATTERN = r"(?i)\b(?:card|account|transfer|price|total|share)s?\b"
LIMITED = "in a process of its own, with limits of time and memory"
STRICT = "json.loads takes repeated keys, NaN and any depth; ours does not"
TEXTS = 1000


def contests(pool: list[Candidate], include: Path) -> Iterator[Contest]:
    """Those on the example's pool, then those on other texts."""
    yield from (_schema(pool, include), _keys(pool), _spans(pool), _consensus(pool), _regex(), _label())
    yield from _flags()


def _schema(pool: list[Candidate], include: Path) -> Contest:
    from jsonschema import Draft202012Validator

    schema = json.loads((include / "example" / "answer.schema.json").read_text(encoding="utf-8"))
    validator = Draft202012Validator(schema)

    def peer(_: int) -> list[bool]:
        return [(value := _loaded(one.text)) is not None and validator.is_valid(value) for one in pool]

    return Contest(
        "json_schema, the example's schema",
        lambda _: json_schema.score(pool, schema=schema),
        peer,
        "json.loads + jsonschema",
        f"{LIMITED}: a schema's pattern may take for ever; {STRICT}",
    )


def _keys(pool: list[Candidate]) -> Contest:
    def peer(_: int) -> list[bool]:
        return [
            isinstance(value := _loaded(one.text), dict)
            and set(value) == set(KEYS)
            and all(isinstance(part, str) and part.strip() == part != "" for part in value.values())
            for one in pool
        ]

    return Contest(
        "json_schema, keys", lambda _: json_schema.score(pool, keys=KEYS), peer, "json.loads + the keys", STRICT
    )


def _spans(pool: list[Candidate]) -> Contest:
    def peer(_: int) -> list[bool]:
        return [
            isinstance(value := _loaded(one.text), dict) and all(_stands(part, one.query) for part in value.values())
            for one in pool
        ]

    note = "ours also asks each query's other candidates for a longer span"
    return Contest(
        "grounding, keys", lambda _: grounding.spans.score(pool, keys=KEYS), peer, "json.loads + re per value", note
    )


def _stands(part: object, text: str) -> bool:
    return isinstance(part, str) and re.search(rf"\b{re.escape(part)}\b", text) is not None


def _consensus(pool: list[Candidate]) -> Contest:
    config = ConsensusConfig(kind="consensus", name="consensus")

    def ours(_: int) -> list[object]:
        return [*consensus.score(pool, config=config, answers=[json_answer(one.text) for one in pool])]

    def peer(_: int) -> list[bool]:
        votes: dict[str, Counter[str]] = defaultdict(Counter)
        said = [json.dumps(_loaded(one.text) or one.text, sort_keys=True) for one in pool]
        for one, answer in zip(pool, said, strict=True):
            votes[one.query_id][answer] += 1
        best = {query_id: counts.most_common(1)[0][0] for query_id, counts in votes.items()}
        return [best[one.query_id] == answer for one, answer in zip(pool, said, strict=True)]

    note = "ours votes on each part of an answer, and guards against a majority that is none"
    return Contest("consensus, JSON by its parts", ours, peer, "json.loads + Counter", note)


def _regex() -> Contest:
    batch = [Candidate("q", "", text) for text in data.prose(TEXTS)]
    compiled = re.compile(PATTERN)

    def peer(_: int) -> list[bool]:
        return [compiled.search(one.text.strip()) is not None for one in batch]

    ours = partial(regex.score, batch, pattern=PATTERN, whole=False)
    return Contest("regex", lambda _: ours(), peer, "re", LIMITED)


def _label() -> Contest:
    rng, labels = random.Random(data.SEED), data.intents()
    texts = [rng.choice((name, f" {name}\n", f"{name}.", f"It is {name}")) for name in rng.choices(labels, k=TEXTS)]
    batch, known = [Candidate("q", "", text) for text in texts], set(labels)

    def peer(_: int) -> list[bool]:
        return [one.text.strip() in known for one in batch]

    return Contest("label", lambda _: label.score(batch, labels=labels, case=True), peer, "in a set")


def _flags() -> Iterator[Contest]:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    batch = [Candidate("q", "", text) for text in data.prose(TEXTS)]
    for plain in (
        LengthConfig(kind="length", name="length", least=3, most=200),
        RepetitionConfig(kind="repetition", name="repetition"),
        RefusalConfig(kind="refusal", name="refusal"),
    ):
        yield Contest(f"flag {plain.name}", lambda _, config=plain: flags.mark([config], batch))  # type: ignore[misc]
    english = LanguageConfig(kind="language", name="language", languages=("en",))
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def peer(_: int) -> list[bool]:
        return [identifier.classify(one.text)[0] != "en" for one in batch]

    yield Contest("flag language", lambda _: flags.mark([english], batch), peer, "py3langid")


def _loaded(text: str) -> object:
    try:
        value: object = json.loads(text)
    except ValueError:
        return None
    return value
