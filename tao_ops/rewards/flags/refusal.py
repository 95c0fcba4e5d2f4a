"""``refusal``: the answer declines to answer.

Phrases are looked for where a refusal stands: at the answer's beginning, after apologies and greetings, or at the
beginning of a clause of an answer that is short as a whole. An answer that quotes "I can't log in" is none, nor is one
in JSON. To know no answer ("I don't know") is no refusal either; ``phrases`` may say otherwise.
"""

import re
from collections.abc import Iterator, Sequence

from tao_ops.config import RefusalConfig
from tao_ops.records import Candidate
from tao_ops.rewards.flags.forms import json_texts
from tao_ops.rewards.flags.words import count

SHORT = 30
"""Words of an answer that is looked through as a whole."""
_HEAD = 600
"""Characters that are looked at, where it is longer."""
_OPENERS = 6
"""Apologies, greetings and the like that may stand before a refusal."""

_PLAIN = (
    (re.compile(r"[’‘`´ʼ]"), "'"),
    (re.compile(r"[^\S\n]+"), " "),
    (re.compile(r"\b(?:can't|can not)\b"), "cannot"),
    (re.compile(r"\bwon't\b"), "will not"),
    (re.compile(r"(?<=[a-z])n't\b"), " not"),
    (re.compile(r"\bi'm\b"), "i am"),
    (re.compile(r"(?<=[a-z])'re\b"), " are"),
    (re.compile(r"(?<=[a-z])'d\b"), " would"),
    (re.compile(r"\b(it|that|this)'s\b"), r"\1 is"),
)
_QUOTED = re.compile(r"\"[^\"\n]*\"|“[^”\n]*”|„[^“”\n]*[“”]|«[^»\n]*»|(?<!\w)'[^'\n]*'(?!\w)")
_CLAUSE = re.compile(r"[.!?:;,\n—–]+\s*|\b(?:but|and|so)\s")
_MARKUP = re.compile(r"[\s*_#>\-]*")

_OPENER = re.compile(
    r"""(?:(?:i\ am|we\ are)\ (?:\w+\ )?(?:sorry|afraid)(?:\ to\ say)?(?:\ that)?
    |(?:\w+\ )?sorry|(?:(?:my|our)\ )?(?:\w+\ )?apologies
    |(?:i|we)\ (?:\w+\ )?apologi[sz]e(?:\ for\ [^,.!?;\n]{1,60})?
    |unfortunately|regrettably|however|but|no|hi|hello|hey|dear\ [^,.!?;\n]{1,40}|thank(?:s|\ you)[^,.!?;\n]{0,80}
    |(?:i|we)\ (?:understand|appreciate)[^,.!?;\n]{0,80}?(?:(?=\ but\ )|(?=[,.!?;\n]))
    )(?!\w)[\s,.:;!?—–-]*""",
    re.VERBOSE,
)
_REFUSAL = re.compile(
    r"""
    as\ an?\ (?:ai|artificial|assistant|(?:large\ )?language)\b[^.!?\n]{0,80}?
        \bi\ (?:cannot|could\ not|do\ not|am\ not|am\ unable)\b
    |(?:i|we)\ (?:\w+\ )?(?:must|have\ to|will\ have\ to|would\ have\ to)\ (?:\w+\ )?(?:decline|refuse)\b
    |(?:(?:i|we)\ (?:\w+\ )?(?:decline|refuse)\ to|i\ would\ (?:rather|prefer)\ not(?:\ to)?)
        \ (?:help|assist|answer|respond|comply|say|comment|discuss|provide|do\ (?:that|this|so))\b
    |i\ (?:do|am)\ not\ (?:feel\ )?comfortable
        (?:\s*[.!]*\s*$
        |\ (?:with\ (?:that|this|your)|doing|answering|helping|assisting|providing|discussing|responding)\b)
    |(?:i|we)\ (?:\w+\ )?
        (?:cannot|could\ not|will\ not(?:\ be\ able\ to)?|(?:am|are)\ unable\ to
          |(?:am|are)\ not\ (?:able|allowed|permitted|authori[sz]ed|programmed|designed|going)\ to
          |do\ not\ have\ the\ (?:ability|capability)\ to)
        (?:\s*[.!]*\s*$
        |\ (?:\w+ly\ )?(?:
            (?:help(?!\ (?:but|it|feeling|noticing)\b)|assist|comply|fulfil+|browse
              |engage\ in|participate\ in|respond\ to|do\ (?:that|this|so))\b
            |(?:answer|provide|give|offer|share|write|complete|process|support|translate|summari[sz]e|determine|perform
              |generate|create|produce|discuss|disclose|reveal|access|recommend|continue)
             \ (?:you\ )?(?:with\ )?
             (?:(?:that|this|these|those|such|any|questions?|(?:the|your)\ (?:request|question)|an\ answer)\b
              |(?:[\w-]+\ ){0,3}(?:information|advice|answers?|instructions|assistance|guidance|content|opinions?
                |internet|websites?|urls?|links?|diagnosis)\b)
        ))
    |(?:it|that|this|(?:this|that|your)\ (?:request|question|topic|content|prompt|message))\ (?:is\ |goes\ |falls\ )?
        (?:violates|against|outside|beyond)\ (?:of\ )?(?:my|our|the)
        \ (?:\w+\ )?(?:polic|guideline|programming|scope|capabilit|abilit|purpose)
    |(?:it|that|this)\ (?:is|would\ be)\ (?:not\ appropriate|inappropriate|unethical)
        \ (?:for\ me\ )?to\ (?:help|assist|provide|answer|discuss)\b
    """,
    re.VERBOSE,
)


def marks(config: RefusalConfig, batch: Sequence[Candidate]) -> list[bool]:
    """Whether each answer declines, in English or by one of ``phrases``; case and the kind of apostrophe don't matter.

    >>> config = RefusalConfig(kind="refusal", name="refusal", phrases=("Dazu sage ich nichts",))
    >>> texts = ["I’m sorry, but I can't help with that.", 'She wrote "I can\\'t help you".', "Dazu sage ich nichts!"]
    >>> marks(config, [Candidate("q", "", text) for text in texts])
    [True, False, True]
    """
    phrases = tuple(_plain(phrase).strip() for phrase in config.phrases if phrase.strip())
    return [_declines(candidate.text, phrases) for candidate in batch]


def _declines(text: str, phrases: tuple[str, ...]) -> bool:
    if json_texts(text) is not None:
        return False
    text = text.strip()
    short = len(text) <= _HEAD and count(text) <= SHORT
    plain = _unquoted(_plain(text[:_HEAD]))
    return any(_refuses(plain, start, phrases) for start in _starts(plain, short))


def _starts(text: str, short: bool) -> Iterator[int]:
    yield 0
    if short:
        yield from (clause.end() for clause in _CLAUSE.finditer(text))


def _refuses(text: str, start: int, phrases: tuple[str, ...]) -> bool:
    """Whether a refusal stands at ``start``, or after what may open one there."""
    for _ in range(_OPENERS + 1):
        start += len(_MARKUP.match(text, start)[0])  # type: ignore[index] # matches nothing, at least
        if _REFUSAL.match(text, start) or any(_stands(phrase, text, start) for phrase in phrases):
            return True
        opener = _OPENER.match(text, start)
        if opener is None:
            return False
        start = opener.end()
    return False


def _stands(phrase: str, text: str, start: int) -> bool:
    after = text[start + len(phrase) : start + len(phrase) + 1]
    return text.startswith(phrase, start) and not (phrase[-1].isalnum() and after.isalnum() and after.isascii())


def _plain(text: str) -> str:
    text = text.casefold()
    for pattern, replacement in _PLAIN:
        text = pattern.sub(replacement, text)
    return text


def _unquoted(text: str) -> str:
    """The text without what it quotes; as a whole in quotes, it is no quotation."""
    if len(text) > 1 and text[0] in "\"'“„«" and text[-1] in "\"'”“»" and not any(c in '"“”„«»' for c in text[1:-1]):
        text = text[1:-1]
    return _QUOTED.sub('""', text)
