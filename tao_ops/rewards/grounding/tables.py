"""Tables within a text: Markdown, cells between tabs, commas or wide gaps."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence

WIDEST = 200
"""Most cells of a row that are read."""
_CODES = r"[A-Z]{0,3}[$€£¥₹]|USD|EUR|GBP|CHF|RMB|Rs\.?"
_UNITS = r"%|percent|thousand|million|billion|mn?|bn?|k|x|pp?ts?|bps?|p\.a\.|years?|days|months"
_NUMERIC = re.compile(
    rf"[-−–—*]?\s?\(?\s?[-−–]?(?:{_CODES})?\s{{0,3}}[-−–(]?\s?(?:\d[\d.,'’\u00a0]*|\.\d+)\s?\)?\s?(?:{_UNITS})?"
    r"\s?[)*†‡]*\s?(?:\(\w\))?",
    re.IGNORECASE,
)
_BLANK = re.compile(r"[\s$€£¥—–\-−%)*.]*|n/?[am]\.?", re.IGNORECASE)
_YEARLY = re.compile(r"(?:(?:fiscal|fy|cy|q[1-4]|h[12]|ye|in)\s*)?(?:19|20)\d\d\s*[*]?(?:\s*\(\w\))*", re.IGNORECASE)
_NEAR = 10
"""Lines that are looked at to see whether a line with commas or gaps begins a table."""

Split = Callable[[str], list[str]]


def blocks(text: str) -> Iterator[tuple[list[list[str]] | None, str]]:
    """Runs of lines that are one table, as rows of cells, and the running text between, each with its text."""
    lines = text.splitlines(keepends=True)
    at = 0
    while at < len(lines):
        split = _splitter(lines, at)
        end = at + 1
        if split is None:
            while end < len(lines) and _splitter(lines, end) is None:
                end += 1
            yield None, "".join(lines[at:end])
        else:
            exactly = len(split(lines[at])) if split in (_gaps, _commas) else None
            while end < len(lines) and (many := len(split(lines[end]))) > 1 and exactly in (None, many):
                end += 1
            rows = [split(line) for line in lines[at:end]]
            yield [row for row in rows if not _ruler(row)], "".join(lines[at:end])
        at = end


def _splitter(lines: Sequence[str], at: int) -> Split | None:
    """How the line is split into cells, where it belongs to a table."""
    line = lines[at]
    for split in (_pipes, _tabs):
        if len(split(line)) > 1:
            return split
    for split in (_gaps, _commas):
        if line.rstrip().endswith((".", ":", ";", "?")) or any(len(cell) > 60 for cell in split(line)[1:]):
            continue
        near = [split(other) for other in lines[at : at + _NEAR]]
        if len(near[0]) > 1 and sum(len(cells) == len(near[0]) and _valued(cells) for cells in near) > 1:
            return split
    return None


def _valued(cells: Sequence[str]) -> bool:
    rest = cells[1:]
    return any(_NUMERIC.fullmatch(cell) for cell in rest) and all(_filled(cell) or len(cell) < 40 for cell in rest)


def _pipes(line: str) -> list[str]:
    return _trimmed(line.strip().removeprefix("|").removesuffix("|").split("|")) if line.count("|") > 1 else []


def _tabs(line: str) -> list[str]:
    return _trimmed(line.rstrip("\r\n").split("\t")) if "\t" in line else []


def _gaps(line: str) -> list[str]:
    return _trimmed(re.split(r"\s{2,}", line.rstrip())) if "  " in line else []


def _commas(line: str) -> list[str]:
    if line.count(",") == 0 or len(line) > 4000:
        return []
    try:
        return _trimmed(next(csv.reader([line.rstrip("\r\n")]), []))
    except csv.Error:
        return []


def _trimmed(cells: Sequence[str]) -> list[str]:
    return [cell.strip() for cell in cells[:WIDEST]]


def _ruler(cells: Sequence[str]) -> bool:
    """The line of dashes below a Markdown table's head."""
    return all(re.fullmatch(r":?-{2,}:?|", cell) for cell in cells) and any(cells)


def _filled(cell: str) -> bool:
    """Whether a cell holds a value, or says that there is none."""
    return bool(_NUMERIC.fullmatch(cell) or _BLANK.fullmatch(cell))


def is_blank(cell: str) -> bool:
    """Whether a cell says nothing: empty, a dash, "n/a"."""
    return _BLANK.fullmatch(cell) is not None


def is_value(cell: str) -> bool:
    """Whether a cell holds one number and nothing else, and no year.

    >>> [is_value(cell) for cell in ("$ (1,234.5)", "3.6%", "2019", "Fiscal 2019 plan", "—")]
    [True, True, False, False, False]
    """
    return bool(_NUMERIC.fullmatch(cell)) and not _YEARLY.fullmatch(cell)
