"""``plan``: plan, carry the plan out, answer last."""

from tao_ops.strategies.chain_of_thought import ChainOfThought


class Plan(ChainOfThought):
    """Plan-and-solve (Wang et al., arXiv 2305.04091): steps are decided on before they are taken.

    It asks as ``chain_of_thought`` does, in other words: those of its template.
    """
