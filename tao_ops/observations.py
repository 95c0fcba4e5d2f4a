"""What is seen of a task's queries on a day: a row of numbers per query, and the day's beside those before it.

A suite of expectations speaks of these columns, and of no others.
"""

import json
import re
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tao_ops.errors import ConfigError
from tao_ops.lake import Lake
from tao_ops.records import Message
from tao_ops.splits import normalise
from tao_ops.tables import QUARANTINE, TURNS
from tao_ops.turn import Turn

ROW_COLUMNS: Mapping[str, str] = {
    "text": "the last user message, redacted",
    "conversation": "the contents of all messages up to it, joined by line breaks",
    "roles": "the roles of those messages, joined by blanks: `user assistant user`",
    "turns": "how many messages they are",
    "characters": "characters of `text`",
    "tokens": "tokens of `conversation` in the model's own tokenizer, without its template",
    "language": "ISO 639 code of the language of `text`; `und` where it is short or unclear",
    "empty": "whether `text` has no letter and no digit but those of placeholders",
    "repeated": "how many of the day's queries have this text, but for case, blanks and composition; 1 is itself",
    "response_characters": "characters of the logged response; null where none was logged",
    "source": "the namespace of the source",
    "model_version": "the serving model's name for itself; null where none was logged",
}
"""Columns with a value per query, and their meaning."""

DAY_COLUMNS: Mapping[str, str] = {
    "rows": "queries of the task",
    "users": "different users among them, where the log names users",
    "empty_share": "share of queries that are `empty`",
    "repeated_share": "share of queries whose text an earlier one of the day has",
    "quarantine_share": "share of the turn's logged lines, of all tasks, that ingest sent to quarantine",
    "trailing_turns": "turns to compare with: as many as there are of the seven before this one",
    "rows_trailing_median": "the median of their `rows`",
    "rows_ratio": "`rows` over that median",
    "language_drift": "total variation distance of the shares of languages from those of the trailing turns: 0 is the "
    "same, 1 is no language in common",
    "length_drift": "Kolmogorov-Smirnov statistic (Massey 1951, J. Am. Stat. Assoc. 46) of the lengths in characters "
    "against those of the trailing turns, between 0 and 1, read off a histogram with two bins per doubling",
}
"""Columns with one value per day, and their meaning; null where there is nothing to compare with."""

TRAILING_TURNS = 7

_CONFIDENCE = 0.5
"""Of py3langid's probability for the likeliest of its 142 languages; below it the language counts as unclear."""
_SHORT = 12
"""Characters below which a text says too little of its language."""
_PLACEHOLDER = re.compile(r"<[A-Z]+(?:_[A-Z]+)*_\d+>")
_TOKENIZED_AT_ONCE = 1024


def rows(queries: Sequence[Mapping[str, Any]], *, tokenizer: Path | None = None) -> dict[str, list[Any]]:
    """:data:`ROW_COLUMNS` of rows of the table ``queries``, in their order.

    Args:
        tokenizer: a ``tokenizer.json``; without it there is no column ``tokens``.

    Raises:
        ConfigError: the tokenizer cannot be read.
    """
    texts = [_text(query) for query in queries]
    conversations = ["\n".join(m["content"] for m in query["messages"]) for query in queries]
    normalised = [normalise(text) for text in texts]
    counts = Counter(normalised)
    columns: dict[str, list[Any]] = {
        "text": texts,
        "conversation": conversations,
        "roles": [" ".join(m["role"] for m in query["messages"]) for query in queries],
        "turns": [len(query["messages"]) for query in queries],
        "characters": [len(text) for text in texts],
        "language": _languages(texts),
        "empty": [not any(c.isalnum() for c in _PLACEHOLDER.sub("", text)) for text in texts],
        "repeated": [counts[text] for text in normalised],
        "response_characters": [None if q["response"] is None else len(q["response"]) for q in queries],
        "source": [query["source"] for query in queries],
        "model_version": [query["model_version"] for query in queries],
    }
    if tokenizer is not None:
        columns["tokens"] = _tokens(conversations, tokenizer)
    return columns


def observe(columns: Mapping[str, Sequence[Any]], users: int) -> dict[str, Any]:
    """A day's counts, as JSON holds them: what the turns after it compare themselves with.

    Args:
        columns: as :func:`rows` makes them.
        users: different users.
    """
    texts = len(columns["text"])
    different = round(sum(1 / count for count in columns["repeated"]))  # n equal texts are n times a n-th
    return {
        "rows": texts,
        "users": users,
        "empty": sum(columns["empty"]),
        "repeated": texts - different,
        "languages": dict(Counter(columns["language"]).most_common()),
        "lengths": {str(edge): n for edge, n in sorted(Counter(map(_bin, columns["characters"])).items())},
    }


def trailing(lake: Lake, turn: Turn, task: str) -> list[dict[str, Any]]:
    """What was observed of ``task`` in the seven turns before ``turn``, oldest first; fewer where there were fewer."""
    recorded = lake.read(TURNS, columns=["turn", "metrics"], flywheel=turn.flywheel, stage="validate").to_pylist()
    before = sorted((row["turn"], row["metrics"]) for row in recorded if row["turn"] < turn.key)[-TRAILING_TURNS:]
    observed = [json.loads(metrics).get("observations", {}).get(task) for _, metrics in before]
    return [day for day in observed if day is not None]


def quarantine_share(lake: Lake, turn: Turn, queries: int) -> float:
    """Share of the turn's logged lines that ingest sent to quarantine, ``queries`` being those that it did not."""
    refused = lake.read(QUARANTINE, columns=["reason"], flywheel=turn.flywheel, turn=turn.key, stage="ingest").num_rows
    return float(refused / (refused + queries)) if refused else 0.0


def day(
    observed: Mapping[str, Any], before: Sequence[Mapping[str, Any]], quarantine_share: float
) -> dict[str, float | None]:
    """:data:`DAY_COLUMNS` of a day beside the turns ``before`` it."""
    n = observed["rows"]
    median = statistics.median([past["rows"] for past in before]) if before else None
    return {
        "rows": n,
        "users": observed["users"],
        "empty_share": observed["empty"] / n if n else None,
        "repeated_share": observed["repeated"] / n if n else None,
        "quarantine_share": quarantine_share,
        "trailing_turns": len(before),
        "rows_trailing_median": median,
        "rows_ratio": n / median if median else None,
        "language_drift": _total_variation(observed["languages"], _pooled(before, "languages")),
        "length_drift": _kolmogorov_smirnov(observed["lengths"], _pooled(before, "lengths")),
    }


def _text(query: Mapping[str, Any]) -> str:
    messages: Sequence[Message] = query["messages"]
    return messages[-1]["content"]


@cache
def _identifier() -> Any:
    """The library's identifier with the model of its package, which takes half a second to read."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=_CONFIDENCE)


def _languages(texts: Sequence[str]) -> list[str]:
    classify = _identifier().classify
    plain = [_PLACEHOLDER.sub("", text) for text in texts]
    return [classify(text)[0] if len(text) >= _SHORT else "und" for text in plain]


def _tokens(texts: Sequence[str], path: Path) -> list[int]:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        mend = "name a model folder whose tokenizer.json is whole, or leave the column 'tokens' out of the suite"
        raise ConfigError(f"the model's tokenizer cannot be read: {error}", where=path, mend=mend) from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    counts: list[int] = []
    for start in range(0, len(texts), _TOKENIZED_AT_ONCE):  # encodings are many times as large as their texts
        encodings = tokenizer.encode_batch(list(texts[start : start + _TOKENIZED_AT_ONCE]), add_special_tokens=False)
        counts += [len(encoding) for encoding in encodings]
    return counts


def _bin(characters: int) -> int:
    """Two bins per doubling: floor(2 log2(characters + 1)), in whole numbers."""
    return ((characters + 1) ** 2).bit_length() - 1


def _pooled(days: Sequence[Mapping[str, Any]], name: str) -> Counter[str]:
    pooled: Counter[str] = Counter()
    for one in days:
        pooled.update(one[name])
    return pooled


def _total_variation(counts: Mapping[str, int], past: Mapping[str, int]) -> float | None:
    n, m = sum(counts.values()), sum(past.values())
    if not n or not m:
        return None
    return sum(abs(counts.get(key, 0) / n - past.get(key, 0) / m) for key in {*counts, *past}) / 2


def _kolmogorov_smirnov(counts: Mapping[str, int], past: Mapping[str, int]) -> float | None:
    n, m = sum(counts.values()), sum(past.values())
    if not n or not m:
        return None
    apart = furthest = 0.0
    for edge in sorted({*counts, *past}, key=int):
        apart += counts.get(edge, 0) / n - past.get(edge, 0) / m
        furthest = max(furthest, abs(apart))
    return furthest
