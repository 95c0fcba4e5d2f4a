"""Constraints on how the response begins and ends. Typographic quotation marks count, too, other than in IFEval."""

from tao_ops.rewards.instructions.rule import Rule, a_text

_QUOTES = '"“”'


def end_checker(text: str, *, end_phrase: str) -> bool:
    """The phrase, in any case, is the end, quotation marks aside."""
    return text.strip().strip(_QUOTES).lower().endswith(end_phrase.strip().lower())


def quotation(text: str) -> bool:
    """Double quotation marks around all of it, with something between them."""
    said = text.strip()
    return len(said) > 2 and said[0] in '"“' and said[-1] in '"”' and bool(said[1:-1].strip())


RULES = {
    "startend:end_checker": Rule(end_checker, {"end_phrase": a_text}),
    "startend:quotation": Rule(quotation),
}
