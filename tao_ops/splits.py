"""Train or holdout, for ever; and the wall between benchmark items and training."""

import hashlib
import unicodedata
from collections.abc import Iterable

from tao_ops import privacy
from tao_ops.benchmarks.item_set import ItemSet
from tao_ops.records import Split


def normalise(text: str) -> str:
    """The text in NFKC, case folded, each run of blanks one space: what two equal queries share."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def cluster(text: str) -> str:
    """The cluster of a query: first 32 hex digits of the SHA-256 of its normalised text."""
    return hashlib.sha256(normalise(text).encode()).hexdigest()[:32]


def split(cluster_id: str, holdout: float) -> Split:
    """The same answer for a cluster in every turn: its digest alone decides.

    >>> split("00" * 16, holdout=0.1).value, split("ff" * 16, holdout=0.1).value
    ('holdout', 'train')
    """
    return Split.HOLDOUT if int(cluster_id[:8], 16) < holdout * 2**32 else Split.TRAIN


def wall(item_sets: Iterable[ItemSet]) -> frozenset[str]:
    """The clusters of all benchmark items, redacted as a logged query would be."""
    return frozenset(
        cluster(privacy.redact_messages(item.messages)[-1]["content"]) for items in item_sets for item in items.items
    )
