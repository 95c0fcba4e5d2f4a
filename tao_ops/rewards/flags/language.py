"""``language``: the answer is in another language than it should be, by py3langid's model of 138 languages."""

import re
from collections.abc import Sequence

from tao_ops.config import LanguageConfig
from tao_ops.errors import ConfigError
from tao_ops.records import Candidate
from tao_ops.rewards.flags.forms import is_code, json_texts
from tao_ops.rewards.flags.words import count, items
from tao_ops.rewards.languages import identifier

SURE = 0.9
"""Probability of a language and those close to it, together, from which on it is told."""
_LEAST_BYTES = 24
"""Of letters, in UTF-8."""
_LEAST_WORDS = 5
"""An answer with less says too little of its language, or is a label."""
_LEAST_FOREIGN = 3
"""The same where most letters are none of Latin script: those tell more."""
_READ = 2000
"""Characters at either end that are looked at, where the answer is longer."""

_NO_PROSE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|<[A-Z]+(?:_[A-Z]+)*_\d+>|\bhttps?://\S+|\S+@\S+|[\"“„«][^\"”“»\n]*[\"”“»]", re.DOTALL
)
_QUOTED_WHOLE = re.compile(r"\s*[\"“„«]([^\"“”„«»]*)[\"”“»]\s*")
_CLOSE = (
    {"no", "nb", "nn", "da"},
    {"hr", "sr", "bs"},
    {"id", "ms"},
    {"cs", "sk"},
    {"pt", "gl"},
    {"zh", "yue", "wuu"},
    {"fa", "prs"},
    {"hi", "mr", "ne"},
    {"en", "pcm"},
    {"de", "lb"},
    {"nl", "af", "fy"},
    {"es", "ext"},
    {"it", "vec", "lij"},
    {"ru", "uk", "be", "bg", "mk"},
)
"""Languages that are taken for each other in short texts."""


def marks(config: LanguageConfig, batch: Sequence[Candidate]) -> list[bool]:
    """Whether each answer's language is told, and is none of ``languages`` nor close to one.

    Without ``languages`` it should be that of the user's message; where that cannot be told, no answer is marked. Nor
    is one that is short, a label, JSON or code; names of people and things in quotes say nothing either.

    Raises:
        ConfigError: a code in ``languages`` is none that the model knows.

    >>> config = LanguageConfig(kind="language", name="language", languages=("en",))
    >>> texts = ["Ihr Paket ist leider noch nicht angekommen.", "Your parcel has not arrived yet, sorry."]
    >>> marks(config, [Candidate("q", "", text) for text in texts])
    [True, False]
    """
    known = set(identifier().labels)
    if bad := sorted(set(config.languages) - known):
        mend = f"use codes of ISO 639-1: {', '.join(sorted(code for code in known if len(code) == 2))}"
        raise ConfigError(f"{bad[0]!r} is no language that can be told", where=config.name, mend=mend)
    asked = {candidate.query: _language(candidate.query) for candidate in batch} if not config.languages else {}
    return [_differs(candidate.text, set(config.languages) or {asked[candidate.query]} - {None}) for candidate in batch]


def _differs(text: str, wanted: set[str | None]) -> bool:
    if not wanted or json_texts(text) is not None or is_code(text):
        return False
    told = _language(text)
    return told is not None and not any(_are_close(told, code) for code in wanted)


def _are_close(one: str, other: str | None) -> bool:
    return one == other or any(one in group and other in group for group in _CLOSE)


def _language(text: str) -> str | None:
    """The code of the likeliest language; None where the text says too little."""
    if len(text) > 2 * _READ:
        text = f"{text[:_READ]} {text[-_READ:]}"
    if match := _QUOTED_WHOLE.fullmatch(text):  # nothing is hidden by quotes around it
        text = match[1]
    prose = _NO_PROSE.sub(" ", text).encode("utf-8", "ignore").decode("utf-8")
    said = [item for item in items(prose) if any(c.isalpha() for c in item)]
    letters, size = sum(map(len, said)), sum(len(item.encode()) for item in said)
    if size < _LEAST_BYTES or count(" ".join(said)) < (_LEAST_WORDS if size < 1.5 * letters else _LEAST_FOREIGN):
        return None
    model = identifier()
    code, probability = model.classify(prose)
    if probability < SURE:
        probability = sum(p for other, p in model.rank(prose) if _are_close(code, other))
    return str(code) if probability >= SURE else None
