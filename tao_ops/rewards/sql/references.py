"""A reference's text as the queries that it accepts: several, parted by ``;``, and columns in braces."""

import itertools
import re
from collections.abc import Iterator

_TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|[;{}(),]|[^'\"\-/;{}(),]+|.", re.DOTALL)
MOST = 64
"""Most queries of one reference."""


def accepted(reference: str) -> list[str]:
    """Every query whose result is right.

    Queries are parted by ``;``. Any of the columns in ``{a, b}`` is enough, and ``GROUP BY {}`` stands for those that
    were taken (the convention of Defog's question sets).

    >>> accepted("SELECT {id, name} FROM t; SELECT max(id) FROM t;")
    ['SELECT id FROM t', 'SELECT name FROM t', 'SELECT id, name FROM t', 'SELECT max(id) FROM t']
    """
    queries: list[list[str]] = [[]]
    for token in _TOKEN.findall(reference):
        if token == ";":
            queries.append([])
        else:
            queries[-1].append(token)
    found = (one.strip() for query in queries for one in itertools.islice(_expanded(query), MOST))
    return list(itertools.islice(dict.fromkeys(one for one in found if one), MOST))


def _expanded(tokens: list[str]) -> Iterator[str]:
    """The query with each choice of columns, one at a time: groups in a row have more than can be counted."""
    start = next((i for i, token in enumerate(tokens) if token == "{"), None)
    end = next((i for i, token in enumerate(tokens) if token == "}" and start is not None and i > start), None)
    if start is None or end is None:
        yield "".join(tokens)
        return
    columns = _columns(tokens[start + 1 : end]) or [""]
    before, after = "".join(tokens[:start]), tokens[end + 1 :]
    sets = (c for size in range(1, len(columns) + 1) for c in itertools.combinations(columns, size))
    for chosen in sets:
        taken = ", ".join(chosen)
        rest = "".join(after).replace("GROUP BY {}", f"GROUP BY {taken}")
        for more in _expanded(_TOKEN.findall(rest)):
            yield before + taken + more


def _columns(tokens: list[str]) -> list[str]:
    """What stands between the commas that are in no parentheses."""
    columns, depth = [""], 0
    for token in tokens:
        depth += (token == "(") - (token == ")")
        if token == "," and depth == 0:
            columns.append("")
        else:
            columns[-1] += token
    return [column.strip() for column in columns if column.strip()]
