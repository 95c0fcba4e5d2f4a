"""Constraints on punctuation. Commas of other scripts count, too, other than in IFEval."""

from tao_ops.rewards.instructions.rule import Rule

_COMMAS = frozenset(",，、،")


def no_comma(text: str) -> bool:
    """No comma."""
    return _COMMAS.isdisjoint(text)


RULES = {"punctuation:no_comma": Rule(no_comma)}
