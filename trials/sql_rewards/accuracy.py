"""Execution accuracy beside the authors' own comparison, and why the two differ where they do."""

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tao_ops.rewards import sql, sql_execution
from tao_ops.rewards.sql import NoResult, Result, same
from trials.sql_rewards import authors, mutations
from trials.sql_rewards.questions import DATA, LIMITS, Question, open_database, schema_of

_EACH = 2
"""Mistakes of each kind, and rewritings, of each accepted query."""
_SHOWN = 2

ARRAYS = "arrays of unlike shapes stretched: theirs takes no rows for any single row"
SORTED = "an order was asked for; theirs sorts both results, so that the order is lost"
NOT_ASKED = "the accepted query has an ORDER BY; by theirs, the question asks for none"
REPEATS = "repeated rows: theirs drops them"
BOTH = "repeated rows and order"
TIES = "rows with equal keys of the ORDER BY in another order: theirs takes one order only"
UNEXPLAINED = "unexplained"


def compare(questions: Sequence[Question], sampled: dict[int, list[str]], seed: int) -> dict[str, Any]:
    """Both verdicts on every accepted query, on rewritings and mistakes of each, and on a model's samples.

    Ours twice: by its rule (bags, and lists where the accepted query has an ORDER BY), and with the conventions of the
    authors (no repeated rows; order where the category or a word of the question asks for it).
    """
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    ours: Counter[str] = Counter()
    conventions: Counter[str] = Counter()
    shown: dict[str, list[dict[str, object]]] = {}
    for question in questions:
        database = open_database(question)
        asked = authors.asks_for_order(question.category, question.text)
        known = [_run(question, gold) for gold in question.golds]
        right = [one for one in known if isinstance(one, Result)]
        for text in dict.fromkeys([*_cases(question, database, rng), *sampled.get(question.number, [])]):
            theirs = _theirs(question, text, database)
            found = _run(question, text)
            if isinstance(found, NoResult) or theirs is None:
                counts["not run" if isinstance(found, NoResult) else "not compared by theirs"] += 1
                continue
            counts["cases"] += 1
            counts["right by theirs"] += theirs
            candidate = question.candidate(text, reference=question.reference)
            mine = sql_execution.score([candidate], sql=LIMITS, folder=DATA)[0].value == 1.0
            if mine != theirs:
                why = _why(question, text, right, found, mine, database)
                ours[why] += 1
                if len(shown.setdefault(why, [])) < _SHOWN:
                    shown[why].append({"question": question.number, "query": text, "ours": mine, "theirs": theirs})
            conventional = any(same(one, found, extra_columns=True, repeats=False, order=asked) for one in right)
            if conventional != theirs:
                conventions[_why(question, text, right, found, conventional, database)] += 1
    n = counts["cases"]
    return {
        **counts,
        "agreement": round(1 - ours.total() / n, 4),
        "disagreements": dict(ours.most_common()),
        "agreement_by_their_conventions": round(1 - conventions.total() / n, 4),
        "disagreements_by_their_conventions": dict(conventions.most_common()),
        "examples": shown,
    }


def _run(question: Question, text: str) -> Result | NoResult:
    return sql.result(question.candidate(text), sql=LIMITS, folder=DATA)


def _cases(question: Question, database: sqlite3.Connection, rng: random.Random) -> Iterator[str]:
    schema = schema_of(database)
    for gold in question.golds:
        yield gold
        yield from mutations.equal(gold, rng, 8)[:_EACH]
        for texts in mutations.wrong(gold, schema).values():
            yield from rng.sample(texts, min(_EACH, len(texts)))


def _theirs(question: Question, text: str, database: sqlite3.Connection, *, shapes: bool = False) -> bool | None:
    """Their verdict; None where their rules, or SQLite, fail on it."""
    try:
        return authors.right(
            question.reference,
            question.golds,
            text,
            category=question.category,
            question=question.text,
            database=database,
            shapes=shapes,
        )
    except Exception:  # pandas raises what it will: of names that are there twice, of types that can't be sorted
        return None


def _why(
    question: Question, text: str, right: Sequence[Result], found: Result, mine: bool, database: sqlite3.Connection
) -> str:
    """The rule in which the two differ: with it changed, they agree."""
    asked = authors.asks_for_order(question.category, question.text)

    def mend(*, repeats: bool, order: bool) -> bool:
        return any(same(one, found, extra_columns=True, repeats=repeats, order=order) for one in right)

    if _theirs(question, text, database, shapes=True) is mine:
        return ARRAYS
    if mine:
        strict = [Result(one.rows, None if one.groups is None else (1,) * len(one.rows)) for one in right]
        tied = not any(same(one, found, extra_columns=True, repeats=False) for one in strict)
        return TIES if tied else UNEXPLAINED
    if mend(repeats=False, order=True):
        return REPEATS
    if mend(repeats=True, order=False):
        return SORTED if asked else NOT_ASKED
    return BOTH if mend(repeats=False, order=False) else UNEXPLAINED
