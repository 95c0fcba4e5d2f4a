"""TAT-QA's questions as a user sends them with their document, and answers to them, right and made wrong."""

import csv
import io
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KINDS = ("scale", "sign", "unsupported", "neighbour")
"""How an answer is made wrong; the last stands in the table."""
_NUMBER = re.compile(r"(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?(?![\d]|,\d|\.\d)")
_YEAR = re.compile(r"(?:19|20)\d\d")
_SCALES = ("thousand", "million", "billion")


@dataclass(frozen=True)
class Item:
    """One question of a document, with its right answer and answers made wrong, by kind, where such can be made."""

    document: str
    query: str
    right: str
    answer_type: str
    answer_from: str
    wrong: dict[str, str] = field(default_factory=dict)


def halves(path: Path, seed: int) -> tuple[list[Item], list[Item]]:
    """The items of the first half of the documents, in an order of the seed, and of the other half."""
    documents = json.loads(path.read_text(encoding="utf-8"))
    rng = random.Random(seed)
    rng.shuffle(documents)
    half = len(documents) // 2
    first, other = (
        [item for one in part for item in _items(one, rng)] for part in (documents[:half], documents[half:])
    )
    return first, other


def _items(document: dict[str, Any], rng: random.Random) -> Iterator[Item]:
    table = [[str(cell) for cell in row] for row in document["table"]["table"]]
    paragraphs = [one["text"] for one in sorted(document["paragraphs"], key=lambda one: one["order"])]
    text = "\n".join([*paragraphs, rng.choice((_tabs, _markdown, _commas))(table)])
    for question in document["questions"]:
        right = right_answer(question)
        if not _NUMBER.search(right):
            continue
        query = f"{text}\n\n{question['question']}"
        yield Item(
            document["table"]["uid"],
            query,
            right,
            question["answer_type"],
            question["answer_from"],
            _made_wrong(right, text, table, rng) if question["answer_type"] != "count" else {},
        )


def _tabs(table: Sequence[Sequence[str]]) -> str:
    return "\n".join("\t".join(row) for row in table)


def _markdown(table: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in table]
    return "\n".join([lines[0], "|" + " --- |" * len(table[0]), *lines[1:]])


def _commas(table: Sequence[Sequence[str]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(table)
    return file.getvalue().rstrip("\n")


def right_answer(question: dict[str, Any]) -> str:
    """The data set's answer as text: each number with the scale that the data set gives it."""
    answer, scale = question["answer"], question["scale"]
    parts = answer if isinstance(answer, list) else [f"{answer:,}" if isinstance(answer, int | float) else answer]
    return ", ".join(_scaled(str(part).strip(), scale) for part in parts)


def _scaled(part: str, scale: str) -> str:
    if not scale or re.search(rf"[A-Za-z]{{4}}|%|{scale}", part):
        return part
    return f"{part}%" if scale == "percent" else f"{part} {scale}"


def _made_wrong(right: str, text: str, table: Sequence[Sequence[str]], rng: random.Random) -> dict[str, str]:
    """The right answer with one number made wrong."""
    places = list(_NUMBER.finditer(right))
    amounts = [place for place in places if not _is_date(right, place)]
    found: dict[str, str | None] = {}
    if amounts:
        place = rng.choice(amounts)
        found["scale"] = _other_scale(right, place, rng)
        found["sign"] = _other_sign(right, place)
        found["neighbour"] = _neighbour(right, place, table, rng)
    found["unsupported"] = _other_digits(right, rng.choice(places), text, rng)
    return {kind: wrong for kind, wrong in found.items() if wrong is not None}


def _is_date(text: str, place: re.Match[str]) -> bool:
    month = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"
    near = re.search(rf"{month} $", text[: place.start()]) or re.match(rf" {month}", text[place.end() :])
    return _YEAR.fullmatch(place[0]) is not None or near is not None


def _other_scale(text: str, place: re.Match[str], rng: random.Random) -> str:
    """Another of thousand, million and billion; a percentage without its sign; any of these on a bare number."""
    start, rest = text[: place.end()], text[place.end() :]
    if match := re.match(r"(\)? ?)(thousand|million|billion|%|percent\b)", rest):
        if match[2] in _SCALES:
            return f"{start}{match[1]}{rng.choice([s for s in _SCALES if s != match[2]])}{rest[match.end() :]}"
        return f"{start}{match[1].rstrip()}{rest[match.end() :]}"
    closing = ")" if rest.startswith(")") else ""
    return f"{start}{closing}{rng.choice(['%', *(f' {scale}' for scale in _SCALES)])}{rest[len(closing) :]}"


def _other_sign(text: str, place: re.Match[str]) -> str | None:
    if not float(place[0].replace(",", "")):
        return None
    before, after = text[: place.start()], text[place.end() :]
    if minus := re.search(r"[-−–](?=[$€£¥ ]*$)", before):
        return before[: minus.start()] + before[minus.end() :] + place[0] + after
    if before.rstrip().endswith("(") and after.startswith(("%)", ")")):
        return before.rstrip()[:-1] + place[0] + after.replace(")", "", 1)
    currency = re.search(r"(?:US)?[$€£¥] *$", before)
    at = currency.start() if currency else len(before)
    return f"{before[:at]}-{before[at:]}{place[0]}{after}"


def _other_digits(text: str, place: re.Match[str], given: str, rng: random.Random) -> str | None:
    """One digit changed, or all of them, so that the number stands nowhere in the document."""
    known = {match[0].replace(",", "") for match in _NUMBER.finditer(given)}
    for _ in range(50):
        digits = [i for i, letter in enumerate(place[0]) if letter.isdigit()]
        if _YEAR.fullmatch(place[0]):
            made = str(rng.randint(1990, 2029))
        else:
            changed = rng.sample(digits, 1 if rng.random() < 0.5 else len(digits))
            made = "".join(rng.choice("0123456789") if i in changed else letter for i, letter in enumerate(place[0]))
            if made[0] == "0" and place[0][0] != "0":
                continue
        if made.replace(",", "") not in known and made != place[0]:
            return text[: place.start()] + made + text[place.end() :]
    return None


def _neighbour(text: str, place: re.Match[str], table: Sequence[Sequence[str]], rng: random.Random) -> str | None:
    """The number of a cell beside, above or below one with the right number."""
    found = []
    for i, row in enumerate(table):
        for j, cell in enumerate(row):
            if (there := _NUMBER.search(cell)) and there[0] == place[0]:
                around = [(i, j - 1), (i, j + 1), (i - 1, j), (i + 1, j)]
                found += [table[y][x] for y, x in around if 0 <= y < len(table) and 0 < x < len(table[y])]
    numbers = sorted({n[0] for cell in found if len(cell) < 20 and (n := _NUMBER.search(cell))} - {place[0]})
    numbers = [number for number in numbers if not _YEAR.fullmatch(number)]
    return text[: place.start()] + rng.choice(numbers) + text[place.end() :] if numbers else None


def verbatim(answer: str, query: str) -> float:
    """What a plain search does: the share of an answer's numbers whose digits stand in the document."""
    known = {match[0].replace(",", "") for match in _NUMBER.finditer(query)}
    found = [match[0].replace(",", "") in known for match in _NUMBER.finditer(answer)]
    return sum(found) / len(found) if found else 0.0
