"""Several scores become one reward in [0, 1]."""

from collections.abc import Mapping

VERSION = "product-1"
"""Names the rule in ``rewards.calibrator_version``."""

CONSENSUS = "consensus"


def combine(scores: Mapping[str, float]) -> float:
    """Verifiers veto, consensus ranks: the product of all scores, consensus counted as ``(1 + s) / 2``.

    >>> combine({"strict_json": 1.0, "grounding": 1.0, "consensus": 0.5}), combine({"strict_json": 0.0})
    (0.75, 0.0)
    """
    return verified(scores) * (1.0 + scores[CONSENSUS]) / 2.0 if CONSENSUS in scores else verified(scores)


def verified(scores: Mapping[str, float]) -> float:
    """What the verifiers alone say: the product of their scores, 1 where there are none.

    >>> verified({"strict_json": 1.0, "grounding": 0.5, "consensus": 0.1}), verified({"consensus": 0.1})
    (0.5, 1.0)
    """
    product = 1.0
    for name, value in scores.items():
        if name != CONSENSUS:
            product *= value
    return product
