r"""The final answer of a text: after ``####``, in ``\boxed{}``, after "the answer is", or its last number."""

import re
from decimal import Decimal
from fractions import Fraction

_READ = 20_000
"""Characters at the text's end that are read."""
_LONGEST = 2000
"""Characters of an answer; a longer one is no answer."""
_HASHES = re.compile(r"####[ \t]*([^\n]+)")
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_PHRASE = re.compile(
    r"(?<!/)\banswer\b(?:\s+(?:to|for|of|in|here|will|would|must|should|then|thus|therefore)\b[^.:=\n\d]{0,60}?)?"
    r"[\s*_]*(?:\bis\b|\bare\b|\bequals\b|\bbe\b|[:=])[\s:*_]*([^\n]+)",
    re.IGNORECASE,
)
_MATHS = re.compile(
    r"\\\((.{1,2000}?)\\\)|\\\[(.{1,2000}?)\\\]|\$\$(.{1,2000}?)\$\$|(?<![\\$])\$([^$\n]+)\$(?!\d)", re.DOTALL
)
_GROUPED = re.compile(r"\d{1,3}(?:,\d{2,3})*,\d{3}(?:\D|$)")
_DIGITS = r"(?:\d+(?:,\d+)*)?"
_NUMBER = re.compile(
    r"(?<![\w.])(?<!\d,)(?P<sign>[-+−]\s?)?[$€£¥]?\s?(?P<minus>[-−])?"
    rf"(?P<whole>\d+\s+(?=\d+\s?/\s?\d))?(?P<number>{_DIGITS}(?:(?<=\d)\.\d+|(?<!\d)\.\d+|(?<=\d))(?:[eE][-+]?\d+)?)"
    r"(?:\s?/\s?(?P<below>\d+(?:\.\d+)?))?(?P<scale>\s?(?:thousand|million|billion|trillion)\b)?",
    re.IGNORECASE,
)
_SCALES = {"": 0, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_FORMULA = re.compile(
    r"\\(?!\s)|[\^√π∞]|\bsqrt\b|\bpi\b|\b[xyz]\b|\d[xyz]\b|[\d)]\s*[+*×÷·]\s*[\d(]|[\d)]\s+[-−]\s+[\d(]"
    r"|[\d)]\s*/\s*\(|\)\s*/|\d,\s+\d|^\s*[\[({].*,.*[\])}]\s*$"
)
_LATEX = (
    (r"\$", "$"),
    (r"\%", "%"),
    (r"\,", ""),
    (r"\!", ""),
    ("{,}", ","),
    (r"\;", " "),
    (r"\ ", " "),
    ("\\left", ""),
    ("\\right", ""),
    ("\\dfrac", "\\frac"),
    ("\\tfrac", "\\frac"),
)
_WORDS = re.compile(r"\\(?:text|mathrm|textbf|mathbf|mbox)\s*\{([^{}]*)\}")
_BOLD = re.compile(r"(?<![\w)}])\*\*(?=\S)([^*]+)\*\*(?![\w(])|^\*\*|\*\*(?=\.?$)")
"""Bold text in Markdown, and what is left of it at an end; between operands, two asterisks are a power."""
_POWER = re.compile(r"(?<=[\w)}])\s?\*\*\s?(?=[-+]?\d|[({]\s?[-+\d(\\xyz]|\\|[xyz]\b)")
_SENTENCE_END = re.compile(r"[.!?;](?:\s|$)|,\s+(?=[^\W\d])")


def find(text: str) -> str | None:
    r"""What the text gives as its answer: a number with what is around it, or a formula; None where there is neither.

    >>> find("5 + 3 = 8, so\n#### 8"), find("It is \\boxed{\\frac{1}{2}}."), find("The answer is $1,200.00 a year.")
    ('8', '\\frac{1}{2}', '$1,200.00')
    >>> find("She has 3 apples and eats 1, so 2 are left."), find("No idea.")
    ('2', None)
    """
    text = text[-_READ:]
    if hashes := _HASHES.findall(text):
        return _short(_cleaned(hashes[-1]))
    if (boxed := _boxed(text)) is not None:
        return _short(_cleaned(boxed))
    if phrases := _PHRASE.findall(text):
        said = _said(phrases[-1])
        if said is not None:
            return said
    return _last(text)


def number(answer: str) -> Fraction | None:
    """The first number of an answer that is no formula; a fraction and a mixed number count as one.

    >>> number("$1,200.00 a year"), number("2 1/2 cups"), number("-3"), number("1.5 million"), number("x + 1")
    (Fraction(1200, 1), Fraction(5, 2), Fraction(-3, 1), Fraction(1500000, 1), None)
    """
    if is_formula(answer):
        return None
    found = _NUMBER.search(answer)
    return None if found is None else _value(found)


def is_formula(answer: str) -> bool:
    """Whether the answer is more than a number and what is around it.

    >>> is_formula("\\\\frac{1}{2}"), is_formula("1/2 cup")
    (True, False)
    """
    return bool(_FORMULA.search(answer))


def is_percent(answer: str) -> bool:
    """Whether the answer's number is one of a hundred."""
    return "%" in answer or "percent" in answer.lower()


def _value(found: "re.Match[str]") -> Fraction | None:
    if "," in found["number"] and not _GROUPED.match(found["number"]):
        return None
    digits = found["number"].replace(",", "")
    power = re.search(r"[eE](.+)", digits)
    if len(found[0]) > 100 or (power and abs(int(power[1])) > 300):
        return None
    try:
        value = Fraction(Decimal(digits)) / Fraction(found["below"] or 1) + int(found["whole"] or 0)
    except ZeroDivisionError:
        return None
    value *= Fraction(10) ** _SCALES[(found["scale"] or "").strip().lower()]
    return -value if "-" in (sign := (found["sign"] or "") + (found["minus"] or "")) or "−" in sign else value


def _boxed(text: str) -> str | None:
    """What the last ``\\boxed{}`` that is closed holds."""
    for start in list(_BOXED.finditer(text))[:-20:-1]:
        depth = 1
        for place in range(start.end(), min(len(text), start.end() + _LONGEST)):
            depth += (text[place] == "{") - (text[place] == "}")
            if depth == 0:
                return text[start.end() : place]
    return None


def _said(clause: str) -> str | None:
    """The answer at the begin of what follows "the answer is"."""
    maths = _MATHS.match(clause.lstrip())
    if maths and _is_maths(maths):
        return _short(_cleaned(_inner(maths)))
    sentence = _cleaned(_SENTENCE_END.split(clause, maxsplit=1)[0])
    if len(sentence) > _LONGEST:
        return None
    if is_formula(sentence):
        return _short(sentence)
    found = _NUMBER.search(sentence)
    return found[0].strip() + ("%" if is_percent(sentence[found.end() :][:9]) else "") if found else None


def _last(text: str) -> str | None:
    """The last number, or the last formula in LaTeX where that ends later."""
    formulas = [found for found in _MATHS.finditer(text) if _is_maths(found)]
    numbers = list(_NUMBER.finditer(text))
    if formulas and (not numbers or formulas[-1].end() >= numbers[-1].end()):
        return _short(_cleaned(_inner(formulas[-1])))
    if not numbers:
        return None
    return numbers[-1][0].strip() + ("%" if is_percent(text[numbers[-1].end() :][:9]) else "")


def _is_maths(found: "re.Match[str]") -> bool:
    """Whether it is LaTeX, and not what stands between two prices."""
    inner = _inner(found)
    if found[4] is None:
        return bool(re.search(r"\d|\\[a-z]|[=^]", inner))
    return bool(re.search(r"[\\^=_]", inner) or re.fullmatch(r"\s*-?[\d.,]+%?\s*", inner))


def _inner(found: "re.Match[str]") -> str:
    return next(group for group in found.groups() if group is not None)


def _cleaned(answer: str) -> str:
    """Without markup and units; of an equation, the right-hand side."""
    for old, new in _LATEX:
        answer = answer.replace(old, new)
    answer = _WORDS.sub(r" \1 ", answer).replace("`", "").strip()
    answer = _POWER.sub("^", _BOLD.sub(r"\1", answer)).strip()
    if len(answer) > 1 and answer[0] == answer[-1] == "$":
        answer = answer[1:-1]
    answer = re.split(r"(?<![<>!])=", answer)[-1]
    return answer.strip().removesuffix(".").strip()


def _short(answer: str) -> str | None:
    if len(answer) > _LONGEST or not re.search(r"\w", answer):
        return None
    return answer if is_formula(answer) or _NUMBER.search(answer) else None
