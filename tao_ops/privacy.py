"""Redaction before the first write, and keyed hashes instead of users and queries."""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Sequence

import phonenumbers

from tao_ops.records import Message

REDACTOR_VERSION = "1"

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
# A cheap look before phonenumbers' matcher, which is slow: seven digits with nothing but separators between them.
_MAYBE_PHONE = re.compile(r"\d(?:[\s().\-/\u00ad\u2010-\u2015\u2212]*\d){6}")
# The matcher takes "…, #381027" for an extension: what follows a comma or a hash is the writer's, not the number's.
_ASIDE = re.compile(r"\s*[,;#]")


def redact(text: str) -> str:
    """Replace e-mail addresses and telephone numbers by ``<EMAIL_1>``, ``<PHONE_1>``, …

    The same address in one text gets the same placeholder. Telephone numbers are found by ``phonenumbers``
    (Google's libphonenumber): written internationally anywhere, or in the form of the United States.

    >>> redact("write to anna@example.org or call +49 30 901820")
    'write to <EMAIL_1> or call <PHONE_1>'
    """
    if "@" in text:
        text = _replace(text, [match.span() for match in _EMAIL.finditer(text)], "EMAIL")
    if _MAYBE_PHONE.search(text):
        found = phonenumbers.PhoneNumberMatcher(text, "US", leniency=phonenumbers.Leniency.VALID)
        text = _replace(text, [_phone_span(match) for match in found], "PHONE")
    return text


def redact_messages(messages: Sequence[Message]) -> list[Message]:
    """Each message redacted, in Unicode NFC."""
    return [{"role": m["role"], "content": redact(unicodedata.normalize("NFC", m["content"]))} for m in messages]


def keyed_hash(key: bytes, *parts: str) -> str:
    """First 32 hex digits of HMAC-SHA-256 over ``parts``; without the key nobody can guess back."""
    return hmac.new(key, "\x1f".join(parts).encode(), hashlib.sha256).hexdigest()[:32]


def _phone_span(match: phonenumbers.PhoneNumberMatch) -> tuple[int, int]:
    aside = _ASIDE.search(match.raw_string)
    return match.start, match.end if aside is None else match.start + aside.start()


def _replace(text: str, spans: Sequence[tuple[int, int]], kind: str) -> str:
    names: dict[str, str] = {}
    pieces, last = [], 0
    for start, end in spans:
        name = names.setdefault(text[start:end], f"<{kind}_{len(names) + 1}>")
        pieces += [text[last:start], name]
        last = end
    return "".join([*pieces, text[last:]])
