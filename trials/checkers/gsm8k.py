"""``numeric`` against the published checkers of GSM8K: OpenAI's, and the two filters of lm-eval.

Each item's solution is made into responses of which it is known by construction whether they are right: its own
answer, and wrong ones, in several formats.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tao_ops.records import Candidate
from tao_ops.rewards import numeric

FORMATS: Mapping[str, Callable[[str, str], str]] = {
    "the solution, #### N": lambda solution, n: f"{solution}\n#### {n}",
    "#### N with words": lambda solution, n: f"{solution}\n#### {n} in all",
    "#### $N.00": lambda solution, n: f"{solution}\n#### ${_grouped(n)}.00",
    "#### N.": lambda solution, n: f"{solution}\n#### {n}.",
    "The answer is N.": lambda solution, n: f"{solution}\nThe answer is {n}.",
    "The answer is $1,234.00.": lambda solution, n: f"{solution}\nThe answer is ${_grouped(n)}.00.",
    "\\boxed{N}": lambda solution, n: f"{solution}\nSo it is $\\boxed{{{n}}}$.",
    "**Answer:** N": lambda solution, n: f"{solution}\n\n**Answer:** {_grouped(n)}",
    "N and words after it": lambda solution, n: f"{solution}\nIn the end there are {n} of them.",
    "N first, a number after it": lambda solution, n: f"{solution}\nThe answer is {n}, as 1 look at step 2 shows.",
    "N/1 and x = N": lambda solution, n: f"{solution}\nTherefore \\(x = \\frac{{{n}}}{{1}}\\).",
    "only N": lambda solution, n: n,
    "no number": lambda solution, n: "I am not sure about this one.",
}
"""How a response says a number; the solution's own lines come before it."""
REASONS = {
    "the solution, #### N": "",
    "#### N with words": "",
    "#### $N.00": "`####` with a currency sign or decimals: OpenAI's pattern takes no `$`; lm-eval compares texts",
    "#### N.": "a full stop after the number: OpenAI compares `18.` with `18` as texts; lm-eval strips it",
    "The answer is N.": "no `####`: OpenAI's and strict-match read only that",
    "The answer is $1,234.00.": "no `####`; and flexible-extract compares `1234.00` with `1234` as texts",
    "\\boxed{N}": "no `####`; and flexible-extract takes the closing `$` along",
    "**Answer:** N": "no `####`: OpenAI's and strict-match read only that",
    "N and words after it": "no `####`: OpenAI's and strict-match read only that",
    "N first, a number after it": "no `####`; and flexible-extract takes the last number of all",
    "N/1 and x = N": "no `####`; and flexible-extract takes the 1 of the fraction",
    "only N": "no `####`: OpenAI's and strict-match read only that",
    "no number": "",
}
"""Why the published checkers differ from ``numeric`` on a format."""
_UNMARKED = frozenset({"N and words after it", "N/1 and x = N"})
_NAMED = re.compile(r"\banswer\b", re.IGNORECASE)
_OPENAI = re.compile(r"#### (\-?[0-9\.\,]+)")
_STRICT, _FLEXIBLE = r"#### (\-?[0-9\.\,]+)", r"(-?[$0-9.,]{2,})|(-?[0-9]+)"
_IGNORED = (",", "\\$", "(?s).*#### ", "\\.$")


def measure(folder: Path, seed: int, most: int | None = None) -> dict[str, Any]:
    """How often each checker accepts right and wrong responses, by format; ``numeric`` has to be right always."""
    items = _items(folder)[:most]
    rng = random.Random(seed)
    rows: dict[tuple[str, bool], Counter[str]] = {}
    checkers = {"openai": _openai, "strict-match": _lm_eval(_STRICT, 0), "flexible-extract": _lm_eval(_FLEXIBLE, -1)}
    mistakes = []
    for answer, name, said, response in _responses(items, rng):
        right = name != "no number" and said == answer.rsplit("#### ", 1)[1].replace(",", "")
        row = rows.setdefault((name, right), Counter())
        found = numeric.score([Candidate("q", "", response, reference=answer)])[0].value
        row["n"] += 1
        row["numeric"] += found == 1.0
        row["undecided"] += found is None
        for checker, accepts in checkers.items():
            row[checker] += accepts(response, answer)
            row[f"{checker} agrees"] += accepts(response, answer) == (found == 1.0)
        if found != float(right):
            mistakes.append({"response": response[-120:], "reference": answer[-20:], "value": found})
    return {
        "items": len(items),
        "responses": sum(row["n"] for row in rows.values()),
        "numeric_wrong": len(mistakes),
        "mistakes": mistakes[:5],
        "formats": [
            {"format": name, "right": right, **row, "why": REASONS[name]} for (name, right), row in rows.items()
        ],
    }


def _responses(items: list[str], rng: random.Random) -> Iterator[tuple[str, str, str, str]]:
    """Each item's reference, the format, the number that is said, and the response."""
    answers = [item.rsplit("#### ", 1)[1].replace(",", "") for item in items]
    for item, answer in zip(items, answers, strict=True):
        solution = item.rsplit("\n####", 1)[0]
        for name, write in FORMATS.items():
            if name in _UNMARKED and _NAMED.search(solution):
                continue  # the solution says "the answer is", so that a wrong number after it contradicts that
            yield item, name, answer, write(solution, answer)
            wrong = _wrong(answer, rng.choice(answers), rng)
            if name != "no number":
                yield item, name, wrong, write(solution, wrong)


def _wrong(answer: str, other: str, rng: random.Random) -> str:
    """Another item's answer, one off, the other sign, another scale, or two digits swapped; never the same value."""
    swapped = list(answer)
    if len(swapped) > 1:
        swapped[-2:] = swapped[:-3:-1]
    one_off = str(int(answer) + rng.choice((-1, 1)))
    kinds = [other, one_off, str(-int(answer)), f"{answer}0", "".join(swapped)]
    wrong = rng.choice(kinds)
    return wrong if re.fullmatch(r"-?\d+", wrong) and int(wrong) != int(answer) else one_off


def _items(folder: Path) -> list[str]:
    return [
        json.loads(line)["answer"]
        for name in ("train.jsonl", "test.jsonl")
        for line in (folder / name).read_text(encoding="utf-8").splitlines()
    ]


def _grouped(number: str) -> str:
    return f"{int(number):,}"


def _openai(response: str, reference: str) -> bool:
    """As OpenAI's grade-school-math does: the first ``####``, without commas, as a text."""
    said, right = _OPENAI.search(response), _OPENAI.search(reference)
    assert right is not None
    return said is not None and said[1].strip().replace(",", "") == right[1].strip().replace(",", "")


def _lm_eval(pattern: str, group: int) -> Callable[[str, str], bool]:
    """One of lm-eval's filters and its exact match, with the settings of its task ``gsm8k``."""
    from lm_eval.api.metrics import exact_match_hf_evaluate
    from lm_eval.filters.extraction import RegexFilter

    extract = RegexFilter(regex_pattern=pattern, group_select=group)

    def accepts(response: str, reference: str) -> bool:
        said = next(iter(extract.apply([[response]], [{}])))[0]
        found = exact_match_hf_evaluate([said], [reference], regexes_to_ignore=list(_IGNORED), ignore_case=True)
        return bool(found["exact_match"])

    return accepts
