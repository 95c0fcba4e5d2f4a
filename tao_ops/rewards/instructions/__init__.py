"""``instructions``: verifiable constraints on a response, the 25 of IFEval (arXiv 2311.07911): one file per family.

They hold as IFEval's own checkers do, but for what those let pass against the instruction's words; each module says
where. Keywords are plain texts here, not patterns.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from tao_ops.errors import ConfigError
from tao_ops.records import Candidate
from tao_ops.rewards.base import Score
from tao_ops.rewards.instructions import (
    case,
    combination,
    content,
    keywords,
    language,
    layout,
    length,
    punctuation,
    startend,
)
from tao_ops.rewards.instructions.rule import Rule

RULES: Mapping[str, Rule] = {
    **keywords.RULES,
    **language.RULES,
    **length.RULES,
    **content.RULES,
    **layout.RULES,
    **combination.RULES,
    **case.RULES,
    **startend.RULES,
    **punctuation.RULES,
}
"""What is checked, by IFEval's ids."""


def score(batch: Sequence[Candidate], *, constraints: Sequence[Mapping[str, Any]]) -> list[Score]:
    """Share of the constraints that the text follows, of those that can be decided; none, where it is empty.

    The reason names those that it breaks.

    Args:
        batch: what is scored.
        constraints: each an ``id`` of :data:`RULES` with its arguments, by their names in IFEval.

    Raises:
        ConfigError: as :func:`check` does.

    >>> rules = [{"id": "punctuation:no_comma"},
    ...          {"id": "length_constraints:number_words", "relation": "less than", "num_words": 4}]
    >>> [(found.value, found.reason) for found in score([Candidate("q", "", "Yes, it is so.")], constraints=rules)]
    [(0.0, 'breaks punctuation:no_comma, length_constraints:number_words')]
    >>> [found.value for found in score([Candidate("q", "", "It is so.")], constraints=rules)]
    [1.0]
    """
    checks = [_checked(number, constraint, None) for number, constraint in enumerate(constraints)]
    return [_one(candidate.text, checks) for candidate in batch]


def check(constraints: Sequence[Mapping[str, Any]], where: object = None) -> None:
    """Refuse an unknown ``id``, and arguments that it lacks, does not take, or cannot follow.

    Raises:
        ConfigError: names the entry.
    """
    for number, constraint in enumerate(constraints):
        _checked(number, constraint, where)


def follows(text: str, constraint: Mapping[str, Any]) -> bool | None:
    """Whether the text follows one constraint; None where that cannot be told. An empty text follows none."""
    _, rule = _checked(0, constraint, None)
    return rule(text) if text.strip() else False


_Check = tuple[str, Callable[[str], bool | None]]


def _one(text: str, checks: Sequence[_Check]) -> Score:
    if not text.strip():
        return Score(0.0, "empty")
    found = {number: rule(text) for number, (_, rule) in enumerate(checks)}
    decided = [kept for kept in found.values() if kept is not None]
    if not decided:
        return Score(None, "no constraint can be decided")
    broken = [checks[number][0] for number, kept in found.items() if kept is False]
    return Score(sum(decided) / len(decided), f"breaks {', '.join(broken)}" if broken else "")


def _checked(number: int, constraint: Mapping[str, Any], where: object) -> _Check:
    name = constraint.get("id")
    entry = f"constraints[{number}]"
    rule = RULES.get(name) if isinstance(name, str) else None
    if not isinstance(name, str) or rule is None:
        raise ConfigError(f"{entry}: unknown id {name!r}", where=where, mend=f"use one of: {', '.join(sorted(RULES))}")
    arguments = {key: value for key, value in constraint.items() if key != "id" and value is not None}
    if wrong := rule.complaint(arguments):
        raise ConfigError(f"{entry}: {name!r} {wrong}", where=where)
    return name, partial(rule.follows, **arguments)
