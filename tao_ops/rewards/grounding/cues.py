"""What a question asks for, by its words: a figure as it stands, or one step of calculation; and which part is it."""

import re
from collections.abc import Mapping
from enum import StrEnum


class Step(StrEnum):
    """How an answer's number comes from the document."""

    DIRECT = "direct"
    """It stands there."""
    DIFFERENCE = "difference"
    CHANGE = "change"
    """The percentage by which one figure differs from another."""
    RATIO = "ratio"
    SHARE = "share"
    """One figure as a percentage of another."""
    SUM = "sum"
    AVERAGE = "average"


class Comparison(StrEnum):
    """What is asked of two figures."""

    CHANGE = "change"
    """From the earlier to the later: it has a sign."""
    DIFFERENCE = "difference"
    """Of one and another: it may have none."""
    FALL = "fall"
    """By how much the later is less: it may have no sign."""


_CUES: tuple[tuple[str, Mapping[Step, float]], ...] = (
    (
        r"(?:percent\w*|%) (?:\w+ ){0,2}?(?:change|increase|decrease|growth|decline|reduction|rise|drop|difference)"
        r"|(?:change|increase|decrease|growth|decline|grow|rise|grew|fell)\W{1,3}"
        r"(?:(?:in|by|as|of) )?(?:a )?(?:percent|%)"
        r"|growth rate|by (?:what|how many|how much) percent",
        {Step.CHANGE: 0.75, Step.DIRECT: 0.12, Step.DIFFERENCE: 0.08, Step.SHARE: 0.05},
    ),
    (r"\baverages?\b|\bmean\b", {Step.AVERAGE: 0.8, Step.DIRECT: 0.15, Step.DIFFERENCE: 0.05}),
    (r"\bratio\b|\btimes\b", {Step.RATIO: 0.6, Step.SHARE: 0.15, Step.DIRECT: 0.2, Step.DIFFERENCE: 0.05}),
    (
        r"percent|proportion|\bshare of\b|\bportion\b|fraction|%",
        {Step.SHARE: 0.5, Step.DIRECT: 0.35, Step.DIFFERENCE: 0.05, Step.CHANGE: 0.1},
    ),
    (
        r"\bchanges?\b|difference|increase|decrease|\b(?:more|less|larger|higher|lower|fewer|greater)\b.*\bthan\b"
        r"|exceed|compared|declin|\bfall\b|\bdrop|\brise\b|\bgrow",
        {Step.DIFFERENCE: 0.6, Step.DIRECT: 0.25, Step.CHANGE: 0.1, Step.SUM: 0.05},
    ),
    (
        r"\btotal\b|\bsum\b|combined|altogether|aggregate",
        {Step.DIRECT: 0.6, Step.SUM: 0.3, Step.DIFFERENCE: 0.05, Step.SHARE: 0.05},
    ),
)
_NO_CUE = {
    Step.DIRECT: 0.8, Step.DIFFERENCE: 0.06, Step.SUM: 0.06, Step.SHARE: 0.03, Step.CHANGE: 0.03, Step.AVERAGE: 0.02,
}  # fmt: skip
_PATTERNS = [(re.compile(pattern, re.IGNORECASE), weights) for pattern, weights in _CUES]
_WHEN = re.compile(r"\b(?:which|what)\b.{0,40}\b(?:years?|periods?|dates?|quarters?|month)\b|\bwhen\b", re.IGNORECASE)
_COUNT = re.compile(r"\bhow many\b|\bnumber of\b|\bcount\b", re.IGNORECASE)
_MOVED = re.compile(
    r"\b(?:up|down|rose|risen|fell|fallen|grew|grown|gain\w*|increas\w*|decreas\w*|declin\w*|dropped|differ\w*|chang\w*)"
    r"(?: (?:by|of|is|was|about|around|approximately|roughly|an?)){0,2} [($€£+-]{0,3}$",
    re.IGNORECASE,
)
_MOVE = re.compile(
    r"\W{0,2} (?:increase|decrease|decline|rise|drop|growth|higher|lower|more|less|change)\b", re.IGNORECASE
)
_MEAN = re.compile(r"\b(?:average|mean)(?: \w+){0,2} [($€£]{0,2}$", re.IGNORECASE)
_FEWER = re.compile(r"\b(?:decreas|declin|reduc|drop|fall|fell|lower|less|fewer)\w*", re.IGNORECASE)
_ASKING = re.compile(
    r"^\W*(?:question|q|task|query)\W*:|^\W*(?:what|how|which|when|who|where|why|is|are|was|were|did|does|do|by|calculate"
    r"|compute|find|give|state|name|list|tell|summari[sz]e|explain|describe)\b",
    re.IGNORECASE,
)
_LONGEST = 600


def steps(question: str) -> Mapping[Step, float]:
    """How likely each way to the answer is, by the question's words; the first cue decides.

    >>> max(steps("What is the average of sales?"), key=steps("What is the average of sales?").get).value
    'average'
    """
    return next((weights for pattern, weights in _PATTERNS if pattern.search(question)), _NO_CUE)


def stated(before: str, after: str, *, percent: bool) -> Step | None:
    """The step that an answer's words just before or after a number name; None where they name none.

    >>> stated("Sales are up ", "% from 5 million", percent=True), stated("They rose 9% to ", " million", percent=False)
    (<Step.CHANGE: 'change'>, None)
    """
    if _MEAN.search(before):
        return Step.AVERAGE
    if _MOVED.search(before) or _MOVE.match(after):
        return Step.CHANGE if percent else Step.DIFFERENCE
    return None


def asks_when(question: str) -> bool:
    """Whether it asks for a year or a date."""
    return _WHEN.search(question) is not None


def asks_count(question: str) -> bool:
    """Whether it asks how many there are."""
    return _COUNT.search(question) is not None


def comparison(question: str) -> Comparison:
    """Which kind of difference it asks for, where it asks for one."""
    if _FEWER.search(question) and not re.search(r"increase|change", question, re.IGNORECASE):
        return Comparison.FALL
    return Comparison.DIFFERENCE if re.search(r"differ|more|compared", question, re.IGNORECASE) else Comparison.CHANGE


def part(message: str) -> tuple[str, str]:
    """The question and the rest of a message; no question where none can be told apart.

    It stands at the end or at the beginning, on a line of its own or in a sentence that ends in a question mark.

    >>> part("Costs: 5\\nSales: 7\\nWhat are the costs?")
    ('What are the costs?', 'Costs: 5\\nSales: 7\\n')
    """
    lines = message.splitlines(keepends=True)
    filled = [i for i, line in enumerate(lines) if line.strip()]
    near = [*reversed(filled[-3:]), *filled[:3]]
    for fits in (_is_question, _asks):
        for at in near:
            if fits(lines[at]):
                sentence = _sentence(lines[at])
                rest = lines[at].replace(sentence, "", 1)
                return sentence.strip(), "".join([*lines[:at], rest if rest.strip() else "", *lines[at + 1 :]])
    return "", message


def _is_question(line: str) -> bool:
    return "?" in line and "\t" not in line and "|" not in line and len(_sentence(line)) <= _LONGEST


def _asks(line: str) -> bool:
    return _ASKING.match(line) is not None and "\t" not in line and "|" not in line and len(line) <= _LONGEST


def _sentence(line: str) -> str:
    """The line's last sentence that asks; the line where none does."""
    if len(line) <= 200 and line.count("?") <= 1:
        return line
    asking = [sentence for sentence in re.split(r"(?<=[.!?:])\s+", line) if sentence.rstrip().endswith("?")]
    return asking[-1] if asking else line
