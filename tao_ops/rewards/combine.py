"""Several scores become one reward in [0, 1]."""

from collections.abc import Mapping

VERSION = "product-1"
"""Names the rule in ``rewards.calibrator_version``."""


def combine(scores: Mapping[str, float]) -> float:
    """Verifiers veto, consensus ranks: the product of all scores, consensus counted as ``(1 + s) / 2``.

    >>> combine({"strict_json": 1.0, "grounding": 1.0, "consensus": 0.5}), combine({"strict_json": 0.0})
    (0.75, 0.0)
    """
    reward = 1.0
    for name, value in scores.items():
        reward *= (1.0 + value) / 2.0 if name == "consensus" else value
    return reward
