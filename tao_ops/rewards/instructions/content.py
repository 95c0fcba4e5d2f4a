"""Constraints on what can be found in the response.

IFEval takes ``[]`` for a placeholder, and the marker of a postscript anywhere, within a word even, for one; here
brackets hold something, and a postscript begins a line and says something.
"""

import re

from tao_ops.rewards.instructions.rule import Rule, a_count, a_text, beginnings

_PLACEHOLDER = re.compile(r"\[([^\[\]\n]*)\]")


def number_placeholders(text: str, *, num_placeholders: int) -> bool:
    """At least so many texts in square brackets."""
    return sum(bool(found.strip()) for found in _PLACEHOLDER.findall(text)) >= num_placeholders


def postscript(text: str, *, postscript_marker: str) -> bool:
    """A line begins with the marker, in any case, blanks within it aside, and more follows."""
    letters = [re.escape(letter) for letter in postscript_marker if not letter.isspace()]
    marker = re.compile(r"[ \t]?".join(letters), re.IGNORECASE)
    lines = text.split("\n")
    for number, line in enumerate(lines):
        for said in beginnings(line):
            found = marker.match(said)
            if found and any(map(str.isalnum, "\n".join([said[found.end() :], *lines[number + 1 :]]))):
                return True
    return False


RULES = {
    "detectable_content:number_placeholders": Rule(number_placeholders, {"num_placeholders": a_count}),
    "detectable_content:postscript": Rule(postscript, {"postscript_marker": a_text}),
}
