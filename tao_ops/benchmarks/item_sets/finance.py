"""``financebench`` and ``tatqa``: questions over filings, with the text or table that holds the answer."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tao_ops.benchmarks.item_sets import reading
from tao_ops.benchmarks.item_sets.item import Row
from tao_ops.errors import ConfigError

FINANCEBENCH_NAMES = ("financebench_open_source.jsonl",)
FINANCEBENCH_TEMPLATE = "$evidence\n\n$question"
TATQA_NAMES = ("tatqa_dataset_dev.json",)
TATQA_TEMPLATE = "$paragraphs\n\n$table\n\n$question"
_SCALES = ("thousand", "million", "billion")
_SCALE = re.compile(rf"\b({'|'.join(_SCALES)})s?\b", re.IGNORECASE)
_NUMBER = re.compile(
    r"\(?[-+−]?\s?[$€£¥]?\s?[-+−]?\s?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?<=\d)\s?"
    r"(?:%|percent|thousand|million|billion|trillion)?\.?\)?",
    re.IGNORECASE,
)


def financebench(path: Path, raw: bytes, *, numbers: bool) -> Iterator[Row]:
    """The questions of FinanceBench, each with the text of its evidence in the column ``evidence``.

    Args:
        numbers: only those whose answer is a number: the others are sentences, which a judge alone can compare.

    Raises:
        ConfigError: a line lacks a column.
    """
    for where, row in reading.json_lines(path, raw, "FinanceBench's JSON lines"):
        reading.required(row, ("financebench_id", "question", "answer", "evidence"), where)
        answer = str(row["answer"]).strip()
        texts = [_text(one, "evidence_text", where) for one in _list(row["evidence"], "evidence", where)]
        if numbers and not is_number(answer):
            continue
        asked = _SCALE.search(str(row["question"]))
        reference = _reference(answer, asked[1].lower() if asked and numbers else "")
        yield Row(where, row["financebench_id"], {**row, "evidence": "\n\n".join(texts)}, reference)


def tatqa(path: Path, raw: bytes, *, numbers: bool) -> Iterator[Row]:
    """The questions of TAT-QA, each with the columns ``paragraphs`` and ``table``: a line for each row of the table.

    Args:
        numbers: only those whose answer is one number: spans of text need a judge.

    Raises:
        ConfigError: an entry lacks a part.
    """
    for where, entry in reading.json_array(path, raw, "TAT-QA's JSON array"):
        reading.required(entry, ("table", "paragraphs", "questions"), where)
        shown = {"table": _table(entry["table"], where), "paragraphs": _paragraphs(entry["paragraphs"], where)}
        for number, row in enumerate(_list(entry["questions"], "questions", where), start=1):
            place = f"{where}, question {number}"
            if not isinstance(row, dict):
                raise ConfigError("a question is no JSON object", where=place, mend="write TAT-QA's layout")
            reading.required(row, ("uid", "question", "answer", "answer_type"), place)
            reading.check_numbers(row["answer"], "answer", place)
            answers = row["answer"] if isinstance(row["answer"], list) else [row["answer"]]
            scale = str(row.get("scale") or "")
            answer = _joined([str(one) for one in answers], scale)
            if numbers and not is_number(answer):
                continue
            yield Row(place, row["uid"], {**row, **shown}, _reference(answer, scale if numbers else ""))


def is_number(answer: str) -> bool:
    """Whether an answer is one number, with its currency, sign, scale or percent sign.

    >>> [is_number(text) for text in ("$1,577.00", "-4.2%", "(12.5)", "1.5 billion", "No, 3 of 4.", "12 and 13")]
    [True, True, True, True, False, False]
    """
    return any(map(str.isdigit, answer)) and _NUMBER.fullmatch(answer.strip()) is not None


def _joined(answers: Sequence[str], scale: str) -> str:
    """An answer as a text; a number in percent with its sign, since 12 percent and 0.12 are the same."""
    if scale == "percent" and len(answers) == 1 and "%" not in answers[0]:
        return f"{answers[0]}%"
    return "; ".join(answers)


def _reference(answer: str, scale: str) -> dict[str, str]:
    """The answer as it is written, and with the scale that the table or the question has: either is right.

    >>> _reference("1,496.5", "million"), _reference("12%", "percent")
    ({'answer': '1,496.5', 'scaled': '1,496.5 million'}, {'answer': '12%'})
    """
    if scale in _SCALES and not _SCALE.search(answer):
        return {"answer": answer, "scaled": f"{answer} {scale}"}
    return {"answer": answer}


def _table(raw: Any, where: str) -> str:
    rows = _list(raw.get("table") if isinstance(raw, dict) else raw, "table", where)
    return "\n".join(" | ".join(map(str, _list(row, "table", where))) for row in rows)


def _paragraphs(raw: Any, where: str) -> str:
    return "\n\n".join(_text(one, "text", where) for one in _list(raw, "paragraphs", where))


def _list(raw: Any, name: str, where: str) -> list[Any]:
    if not isinstance(raw, list):
        raise ConfigError(f"{name!r} is no list", where=where, mend="write the layout that 'format' names")
    return raw


def _text(raw: Mapping[str, Any] | Any, key: str, where: str) -> str:
    text = raw.get(key) if isinstance(raw, dict) else None
    if not isinstance(text, str):
        raise ConfigError(f"an entry without {key!r}", where=where, mend="write the layout that 'format' names")
    return text.strip()
