"""How alike questions are in truth: the Jaccard similarity of their shingles, computed whole, without MinHash."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tao_ops.dedup import SHINGLE, normalise

_BLOCK = 512


def likest(texts: Sequence[str], others: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each text the place of the other that is most like it, and their similarity, between 0 and 1."""
    vocabulary: dict[str, int] = {}
    left, right = _shingles(texts, vocabulary), _shingles(others, vocabulary)
    left.resize(len(texts), len(vocabulary))
    right.resize(len(others), len(vocabulary))
    sizes = np.asarray(right.sum(axis=1)).ravel()
    places, similarities = [np.empty(0, np.int64)], [np.empty(0)]
    for start in range(0, len(texts), _BLOCK):
        block = left[start : start + _BLOCK]
        common = (block @ right.T).toarray()
        similarity = common / (np.asarray(block.sum(axis=1)) + sizes - common)
        places.append(similarity.argmax(axis=1))
        similarities.append(similarity.max(axis=1))
    return np.concatenate(places), np.concatenate(similarities)


def _shingles(texts: Sequence[str], vocabulary: dict[str, int]) -> Any:
    """One row per text, one column per shingle: 1 where the text has it."""
    from scipy.sparse import csr_matrix

    rows, columns = [], []
    for row, text in enumerate(map(normalise, texts)):
        for shingle in {text[i : i + SHINGLE] for i in range(max(1, len(text) - SHINGLE + 1))}:
            rows.append(row)
            columns.append(vocabulary.setdefault(shingle, len(vocabulary)))
    return csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(texts), len(vocabulary)))
