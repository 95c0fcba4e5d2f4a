"""Constraints on how long the response is.

IFEval counts the number of a numbered list as a sentence, and looks for the nth paragraph among blank ones, too; here
neither counts.
"""

import re

from tao_ops.rewards.instructions import sentences
from tao_ops.rewards.instructions.rule import Rule, a_count, a_relation, a_text, holds

_FIRST_WORD = re.compile(r"[\"'“‘]*([^\s.,?!'\"’”]*)")


def number_sentences(text: str, *, num_sentences: int, relation: str) -> bool:
    """So many sentences."""
    return holds(sentences.count(text), relation, num_sentences)


def number_paragraphs(text: str, *, num_paragraphs: int) -> bool:
    """Exactly so many paragraphs with ``***`` between them, none of them blank."""
    paragraphs = [paragraph.strip() for paragraph in text.split("***")]
    inner = paragraphs[not paragraphs[0] : len(paragraphs) - (not paragraphs[-1])]
    return all(inner) and len(inner) == num_paragraphs


def number_words(text: str, *, num_words: int, relation: str) -> bool:
    """So many runs of letters and digits: "don't" is two."""
    return holds(len(re.findall(r"\w+", text)), relation, num_words)


def nth_paragraph_first_word(text: str, *, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """Exactly so many paragraphs with a blank line between them, the nth of which begins with the word, in any case."""
    paragraphs = [paragraph.strip() for paragraph in text.split("\n\n") if paragraph.strip()]
    if len(paragraphs) != num_paragraphs:
        return False
    found = _FIRST_WORD.match(paragraphs[nth_paragraph - 1])
    return found is not None and found[1].casefold() == first_word.strip().casefold()


def _within(*, num_paragraphs: int, nth_paragraph: int, first_word: str) -> str:
    if 1 <= nth_paragraph <= num_paragraphs:
        return ""
    return f"has 'nth_paragraph' = {nth_paragraph}, of {num_paragraphs}"


RULES = {
    "length_constraints:number_sentences": Rule(number_sentences, {"num_sentences": a_count, "relation": a_relation}),
    "length_constraints:number_paragraphs": Rule(number_paragraphs, {"num_paragraphs": a_count}),
    "length_constraints:number_words": Rule(number_words, {"num_words": a_count, "relation": a_relation}),
    "length_constraints:nth_paragraph_first_word": Rule(
        nth_paragraph_first_word,
        {"num_paragraphs": a_count, "nth_paragraph": a_count, "first_word": a_text},
        together=_within,
    ),
}
