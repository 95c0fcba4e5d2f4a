"""Constraints on the response's form: IFEval's "detectable format".

IFEval takes a divider (``---``) or ``*slanted*`` text that begins a line for a bullet, what stands between two stars
with blanks around it, as in ``2 * 3 * 4``, for highlighted, a section's mark within a sentence or for the second time
for a section, any of several options for an answer, and a bare word in quotes, ``NaN`` or a key twice for JSON; none
does here.
"""

import re

from tao_ops.answers import strict_json
from tao_ops.rewards.instructions.rule import Rule, a_count, a_text, beginnings

_BULLET = re.compile(r"^[ \t]*[*-][ \t]+[^\s*-]", re.MULTILINE)
_HIGHLIGHT = re.compile(r"(?<!\*)(\*{1,3})(?![\s*])[^*\n]*(?<![\s*])\1(?!\*)")
_FENCE = "```"
OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
"""The answers of ``constrained_response``."""


def number_bullet_lists(text: str, *, num_bullets: int) -> bool:
    """Exactly so many lines that begin with ``*`` or ``-`` and a blank."""
    return len(_BULLET.findall(text)) == num_bullets


def constrained_response(text: str) -> bool:
    """One of the three options, and no other of them, is there."""
    return sum(option in text for option in OPTIONS) == 1


def number_highlighted_sections(text: str, *, num_highlights: int) -> bool:
    """At least so many texts within a line in ``*``, ``**`` or ``***``."""
    return len(_HIGHLIGHT.findall(text)) >= num_highlights


def multiple_sections(text: str, *, section_spliter: str, num_sections: int) -> bool:
    """At least so many lines begin with the mark and a number, each another."""
    mark = re.compile(re.escape(section_spliter.strip()) + r"\s?(\d+)")
    found = [mark.match(said) for line in text.split("\n") for said in beginnings(line)]
    return len({one[1] for one in found if one}) >= num_sections


def json_format(text: str) -> bool:
    """An object or array in strict JSON, in a fence of three backticks or not, and nothing else."""
    said = text.strip()
    if len(said) > 2 * len(_FENCE) and said.startswith(_FENCE) and said.endswith(_FENCE):
        said = said.removeprefix(_FENCE).removesuffix(_FENCE)
        said = said[4:] if said[:4].lower() == "json" else said
    try:
        value = strict_json(said)
    except ValueError:
        return False
    return isinstance(value, dict | list)


def title(text: str) -> bool:
    """A text within a line in ``<<`` and ``>>``."""
    lines = [line for line in text.split("\n") if "<<" in line]
    return any(line[line.find("<<") + 2 : max(line.rfind(">>"), 0)].strip("<> \t") for line in lines)


RULES = {
    "detectable_format:number_bullet_lists": Rule(number_bullet_lists, {"num_bullets": a_count}),
    "detectable_format:constrained_response": Rule(constrained_response),
    "detectable_format:number_highlighted_sections": Rule(number_highlighted_sections, {"num_highlights": a_count}),
    "detectable_format:multiple_sections": Rule(
        multiple_sections, {"section_spliter": a_text, "num_sections": a_count}
    ),
    "detectable_format:json_format": Rule(json_format),
    "detectable_format:title": Rule(title),
}
