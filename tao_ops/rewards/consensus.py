"""``consensus``: agreement among a query's candidates on the same answer (majority vote, TTRL, arXiv 2504.16084).

A JSON object is voted on key by key: two candidates that agree on two of three values agree that far. Against the
vote on whole answers this finds more right responses at the same precision, since a small model seldom gets all
values right twice.
"""

import json
from collections import Counter
from collections.abc import Sequence

from tao_ops.answers import strict_object
from tao_ops.records import Candidate


def parts(text: str) -> dict[str, str]:
    """What is voted on: the values of a JSON object by key, else the text with single blanks."""
    value = strict_object(text)
    if not value:
        return {"": " ".join(text.split())}
    return {key: json.dumps(one, sort_keys=True) for key, one in value.items()}


def canonical(text: str) -> str:
    """The whole answer as it is compared: two texts with the same parts are the same answer.

    >>> canonical('{"b": 1, "a": "x"}') == canonical('{"a":"x","b":1}'), canonical(" so  it ")
    (True, '{"": "so it"}')
    """
    return json.dumps(parts(text), sort_keys=True)


def score(batch: Sequence[Candidate], *, votes: int = 2) -> list[float]:
    """The share of a query's candidates behind each part of the answer, averaged over its parts.

    A part with fewer than ``votes`` candidates behind it counts 0; so does an empty answer.

    >>> texts = ['{"a": "x", "b": "y"}', '{"a":"x","b":"z"}', "x", ""]
    >>> score([Candidate("q", "", text) for text in texts], votes=2)
    [0.25, 0.25, 0.0, 0.0]
    """
    answers = [(candidate.query_id, parts(candidate.text)) for candidate in batch]
    counts = Counter((query, key, value) for query, answer in answers for key, value in answer.items() if value)
    totals = Counter(candidate.query_id for candidate in batch)
    scores = []
    for query, answer in answers:
        backed = [counts[query, key, value] for key, value in answer.items()]
        scores.append(sum(n for n in backed if n >= votes) / len(answer) / totals[query])
    return scores
