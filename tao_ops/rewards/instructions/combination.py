"""Constraints on the response as a whole.

IFEval takes two responses that differ in case or blanks only for different ones, and a prompt that is repeated without
an answer for repeated and answered; not here.
"""

from tao_ops.rewards.instructions.rule import Rule, a_text


def two_responses(text: str) -> bool:
    """Two different responses with six stars between them, and nothing else."""
    parts = [" ".join(part.split()).casefold() for part in text.split("******")]
    inner = parts[not parts[0] : len(parts) - (not parts[-1])]
    return len(inner) == 2 and all(inner) and inner[0] != inner[1]


def repeat_prompt(text: str, *, prompt_to_repeat: str) -> bool:
    """The prompt, in any case, comes first, and an answer after it."""
    prompt, said = prompt_to_repeat.strip().lower(), text.strip().lower()
    return said.startswith(prompt) and any(map(str.isalnum, said[len(prompt) :]))


RULES = {
    "combination:two_responses": Rule(two_responses),
    "combination:repeat_prompt": Rule(repeat_prompt, {"prompt_to_repeat": a_text}),
}
