"""What candidates are compared by: the same answer in other words has the same parts."""

import json
from collections.abc import Callable, Mapping, Sequence

from tao_ops.answers import strict_object
from tao_ops.records import Candidate

Answer = Mapping[str, str]
"""An answer's parts by name, in canonical form; empty for an empty answer."""
Embed = Callable[[Sequence[str]], list[list[float]]]
"""Gives texts unit vectors."""


def json_answer(text: str) -> dict[str, str]:
    """The values of a JSON object by key; of any other text the whole.

    >>> json_answer('{"b": 1, "a": "x"}'), json_answer(" so  it ")
    ({'b': '1', 'a': '"x"'}, {'': 'so it'})
    """
    value = strict_object(text)
    return {key: json.dumps(one, sort_keys=True) for key, one in value.items()} if value else text_answer(text)


def text_answer(text: str) -> dict[str, str]:
    """The text with single blanks.

    >>> text_answer("  it is\\n late"), text_answer(" ")
    ({'': 'it is late'}, {})
    """
    words = " ".join(text.split())
    return {"": words} if words else {}


def number_answer(text: str) -> dict[str, str] | None:
    """The final number or formula of the text; None where it has none.

    >>> number_answer("So it costs $1,200.00.") == number_answer("1200"), number_answer("dear")
    (True, None)
    """
    from tao_ops.rewards import numeric

    if not text.strip():
        return {}
    found = numeric.canonical(text)
    return None if found is None else {"": found}


def clustered(batch: Sequence[Candidate], embed: Embed, similarity: float) -> list[Answer]:
    """The cluster of each text among those of its query: complete linkage, so that all of one cluster are alike.

    Only texts that vote make clusters; another one joins the cluster all of which it is like, or stands alone.

    Args:
        batch: any candidates; equal texts are embedded once.
        embed: gives unit vectors.
        similarity: least cosine of two texts of one cluster.
    """
    texts = sorted({candidate.text for candidate in batch if candidate.text.strip()})
    vectors = dict(zip(texts, embed(texts), strict=True)) if texts else {}
    voting: dict[str, set[str]] = {}
    others: dict[str, set[str]] = {}
    for candidate in batch:
        if candidate.text in vectors:
            (voting if candidate.votes else others).setdefault(candidate.query_id, set()).add(candidate.text)
    labels: dict[str, dict[str, str]] = {}
    for query_id in {*voting, *others}:
        labels[query_id] = _clusters(sorted(voting.get(query_id, ())), vectors, similarity)
        labels[query_id] |= _joined(labels[query_id], sorted(others.get(query_id, ())), vectors, similarity)
    return [
        {"": labels[candidate.query_id][candidate.text]} if candidate.text in vectors else {} for candidate in batch
    ]


def _clusters(texts: Sequence[str], vectors: Mapping[str, Sequence[float]], similarity: float) -> dict[str, str]:
    """A name of its cluster for each text: its first text."""
    if len(texts) < 2:
        return {text: text for text in texts}
    from sklearn.cluster import AgglomerativeClustering

    model = AgglomerativeClustering(
        n_clusters=None, metric="cosine", linkage="complete", distance_threshold=1.0 - similarity + 1e-9
    )
    found = model.fit_predict([vectors[text] for text in texts])
    first: dict[int, str] = {}
    for text, label in zip(texts, found, strict=True):
        first.setdefault(int(label), text)
    return {text: first[int(label)] for text, label in zip(texts, found, strict=True)}


def _joined(
    clusters: Mapping[str, str], texts: Sequence[str], vectors: Mapping[str, Sequence[float]], similarity: float
) -> dict[str, str]:
    """The cluster of each further text; its own, where it is not like all of any."""
    members: dict[str, list[str]] = {}
    for text, name in clusters.items():
        members.setdefault(name, []).append(text)
    found = {}
    for text in texts:
        if text in clusters:
            continue
        least = {
            name: min(sum(a * b for a, b in zip(vectors[text], vectors[one], strict=True)) for one in each)
            for name, each in members.items()
        }
        best = max(least, key=lambda name: least[name], default=None)
        found[text] = best if best is not None and least[best] >= similarity else text
    return found


def canonical(text: str) -> str:
    """The whole answer as it is compared where nothing else is said: equal texts and equal objects are the same.

    >>> canonical('{"b": 1, "a": "x"}') == canonical('{"a":"x","b":1}'), canonical(" so  it ")
    (True, '{"": "so it"}')
    """
    return key_of(json_answer(text))


def key_of(answer: Answer | None) -> str:
    """An answer as one text, to compare and to count by; empty where there is none."""
    return json.dumps(answer, sort_keys=True) if answer else ""
