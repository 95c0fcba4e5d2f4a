"""Train or holdout, for ever; and the wall between benchmark items and training."""

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

from tao_ops import privacy
from tao_ops.benchmarks.item_sets import ItemSet
from tao_ops.dedup import NearIndex, Signatures, jaccard, normalise, signatures
from tao_ops.records import Message, Split

__all__ = [
    "Likeness",
    "Redact",
    "Wall",
    "as_logged",
    "cluster_id",
    "conversation_text",
    "digest",
    "messages_digest",
    "normalise",
    "split",
]

Redact = Callable[[Sequence[str]], list[str]]
"""Redacts the contents of one conversation, in their order."""

_MARGIN, _LEAST = 0.1, 0.4


class Likeness(StrEnum):
    """How a query is like an item of the exam."""

    EQUAL = "equal"
    """Their normalised texts are the same."""
    NEAR = "near"
    """They are at least as similar as the task's threshold."""


def conversation_text(messages: Sequence[Message]) -> str:
    """The text of a query, by which it is compared: the contents of all its messages, joined by line breaks."""
    return "\n".join(message["content"] for message in messages)


def digest(text: str) -> str:
    """First 32 hex digits of the SHA-256 of the normalised text: the same on every installation, so never stored."""
    return hashlib.sha256(normalise(text).encode()).hexdigest()[:32]


def cluster_id(key: bytes, task: str, text: str) -> str:
    """The cluster that a query of this text leads: a keyed hash, 32 hex digits, from which no text can be guessed."""
    return privacy.keyed_hash(key, "cluster", task, normalise(text))


def split(digest: str, holdout: float) -> Split:
    """The split of a new cluster, by the digest of its leader's text alone: the same on every installation.

    >>> split("00" * 16, holdout=0.1).value, split("ff" * 16, holdout=0.1).value
    ('holdout', 'train')
    """
    return Split.HOLDOUT if int(digest[:8], 16) < holdout * 2**32 else Split.TRAIN


def messages_digest(messages: Sequence[Message]) -> str:
    """The digest of a conversation's text."""
    return digest(conversation_text(messages))


def as_logged(contents: Sequence[str], redact: Redact) -> list[str]:
    """The contents of a conversation as queries hold them: NFC, redacted."""
    return redact([unicodedata.normalize("NFC", content) for content in contents])


class Wall:
    """The texts of the exam's items, as the queries of a task would be logged: no system message, NFC, redacted.

    Args:
        item_sets: every benchmark of the flywheel, whatever its task, since one model serves all tasks.
        redact: as the queries of the task are redacted.
        threshold: the least similarity of a near match; 1 for equal texts only.
    """

    def __init__(self, item_sets: Iterable[ItemSet], redact: Redact, threshold: float) -> None:
        texts: dict[str, None] = {}
        for items in item_sets:
            for item in items.items:
                contents = [m["content"] for m in item.messages if m["role"] not in ("system", "developer")]
                logged = as_logged(contents, redact)
                texts |= dict.fromkeys((normalise("\n".join(logged)), normalise(logged[-1])))
        self._texts, self._listed, self._threshold = frozenset(texts), list(texts), threshold
        # MinHash is off by some hundredths: what it holds for likely is compared in truth, the exam being small.
        likely = max(threshold - _MARGIN, _LEAST)
        self._near = None if threshold == 1 else NearIndex(signatures(self._listed), likely)

    def find(
        self, conversations: Sequence[Sequence[Message]], signed: Signatures | None = None
    ) -> list[Likeness | None]:
        """How each conversation, or one of its user's messages alone, is like an item; None where it is not.

        Args:
            signed: the signatures of the conversations' texts, where the caller has them.
        """
        found = self._find([conversation_text(messages) for messages in conversations], signed)
        said = [
            (i, message["content"])
            for i, messages in enumerate(conversations)
            if len(messages) > 1
            for message in messages
            if message["role"] == "user"
        ]
        for (i, _), like in zip(said, self._find([text for _, text in said]), strict=True):
            if found[i] is None or like is Likeness.EQUAL:
                found[i] = like
        return found

    def _find(self, texts: Sequence[str], signed: Signatures | None = None) -> list[Likeness | None]:
        equal = [normalise(text) in self._texts for text in texts]
        near = [False] * len(texts)
        if self._near is not None:
            likely = self._near.matches(signatures(texts) if signed is None else signed)
            near = [
                any(jaccard(text, self._listed[item]) >= self._threshold for item, _ in matches)
                for text, matches in zip(texts, likely, strict=True)
            ]
        return [Likeness.EQUAL if e else Likeness.NEAR if n else None for e, n in zip(equal, near, strict=True)]
