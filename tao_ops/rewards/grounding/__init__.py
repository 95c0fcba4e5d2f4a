"""``grounding``: what an answer says stands in what the user wrote, or follows from it.

``spans.score`` for the values of a JSON answer, ``numbers.score`` for the numbers of an answer about a document.
"""

from tao_ops.rewards.grounding import numbers, spans

__all__ = ["numbers", "spans"]
