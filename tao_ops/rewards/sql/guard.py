"""Whether a text is one harmless SELECT, by its syntax tree, before any database sees it.

It runs in the worker process (see ``worker.py``): a text can keep a parser busy, too.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

LONGEST = 100_000
"""A longer text, in characters, is not parsed."""
_FENCE = re.compile(r"\s*```(?:(?:sql|sqlite|duckdb)\b)?(.*?)```\s*", re.DOTALL | re.IGNORECASE)
_TABLE_FUNCTIONS = {"json_each", "json_tree", "generate_series", "range", "unnest", "generateseries", "explode"}
"""What may stand in FROM with arguments; every other table function might read files or run text as SQL."""
_FUNCTIONS = re.compile(
    r"load_extension|fts\w*|pragma_\w+|sqlite_(?!version$)\w+|readfile|writefile|edit|read_\w+|write_\w+|getenv|getvariable"
    r"|current_setting|set_config|query|query_table|\w+_scan|scan_\w+|duckdb_\w+|nextval|currval|sniff_csv|parquet_\w+",
    re.IGNORECASE,
)
"""Functions that load code, reach outside the database, change something, or run text as SQL."""
_TABLES = re.compile(r"pragma_\w+|sqlite_(?!master$|schema$|sequence$)\w+|dbstat|duckdb_\w+", re.IGNORECASE)
"""Tables that tell of the engine or the machine and not of the data."""
_NO_TABLE_NAME = re.compile(r"[./\\*?:\[\]]")
_DUCKDB_CATALOG = re.compile(r"pg_\w+|information_schema", re.IGNORECASE)
_UNREPEATABLE = re.compile(
    r"rand|random|randomblob|setseed|uuid\w*|gen_random_uuid|now|today|txid_current|(get_)?current_(date|time)\w*"
    r"|(current_)?local(time|timestamp)|(transaction|statement|clock)_timestamp"
)
"""Functions that give another value each time, or each day."""
_OF_NOW = {"date", "time", "datetime", "julianday", "unixepoch"}
"""Functions that without arguments give the time of day or the date."""


@dataclass(frozen=True)
class Select:
    """One SELECT that may run.

    Attributes:
        text: what to run.
        keyed: the same query with those keys of its ORDER BY as further, last columns that its columns lack; ``text``
            where there are none, or where they cannot be had.
        extra: how many columns that are.
        keys: each key of the ORDER BY as a column's place: from 0 on in the query's own columns, from -1 down in the
            further ones, the last first; None where the query has no ORDER BY at its top, empty where a key cannot be
            had.
        distinct: whether it asks for a set.
        repeatable: running it again gives the same, as far as its text tells.
    """

    text: str
    keyed: str
    extra: int
    keys: tuple[int, ...] | None
    distinct: bool
    repeatable: bool


def bare(text: str) -> str:
    """The SQL itself: without one fence around it, blanks, and semicolons at its end.

    >>> bare("```sql\\nSELECT 1;\\n```")
    'SELECT 1'
    """
    fenced = _FENCE.fullmatch(text)
    return (fenced[1] if fenced and "```" not in fenced[1] else text).strip().rstrip("; \t\r\n")


def malformed(query: str) -> str | None:
    """Why a text cannot even be parsed; None where it can."""
    if not query:
        return "no SQL"
    if len(query) > LONGEST:
        return "too long"
    if "\0" in query:
        return "holds a NUL"
    try:
        query.encode()
    except UnicodeEncodeError:
        return "not Unicode"
    return None


def read(query: str, dialect: str) -> Select | str:
    """The query as what may run; or why it may not, in a few words.

    Args:
        query: the bare SQL.
        dialect: ``sqlite`` or ``duckdb``.

    >>> read("DROP TABLE t", "sqlite"), read("SELECT 1; SELECT 2", "sqlite")
    ('not a SELECT', 'several statements')
    """
    import logging

    import sqlglot
    from sqlglot import errors, exp

    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of what it doesn't know, and that is refused
    if why := malformed(query):
        return why
    try:
        parsed = sqlglot.parse(query, dialect=dialect)
    except (errors.SqlglotError, ValueError):
        return "does not parse"
    except RecursionError:
        return "nested too deep"
    trees = [tree for tree in parsed if tree is not None and not isinstance(tree, exp.Semicolon)]
    if len(trees) != 1:
        return "several statements" if trees else "no SQL"
    try:
        return _refusal(trees[0], dialect) or _select(query, trees[0], dialect)
    except RecursionError:
        return "nested too deep"
    except ValueError:  # a number with more digits than Python reads
        return "does not parse"


def _refusal(tree: Any, dialect: str) -> str | None:
    from sqlglot import exp

    top = tree.unnest() if isinstance(tree, exp.Subquery) else tree
    if isinstance(top, exp.Condition | exp.Alias):
        return "does not parse"  # sqlglot reads "hello world" as a column with an alias
    if not isinstance(top, exp.Select | exp.SetOperation | exp.Values):
        return "not a SELECT"
    statements = _statements()
    for node in tree.walk():
        if isinstance(node, statements) or (dialect == "duckdb" and _is_show(node)):
            return "not a SELECT"
        if isinstance(node, exp.Func) and _FUNCTIONS.fullmatch(_name(node)):
            return "refused function"
        if isinstance(node, exp.Table | exp.Lateral) and (why := _table_refusal(node, dialect)):
            return why
    return None


def _statements() -> tuple[type, ...]:
    """Every kind of node that writes, or is a statement of its own and no query."""
    from sqlglot import exp

    names = (
        "DDL DML Command Pragma Attach Detach Copy Install Set Use LoadData Describe Summarize Show Transaction Commit "
        "Rollback Drop Alter Analyze Kill Cache Uncache Refresh TruncateTable Merge Export Grant Revoke Comment Into "
        "Lock"
    )
    kinds = (getattr(exp, name) for name in names.split() if hasattr(exp, name))
    return tuple(kind for kind in kinds if not issubclass(exp.Select, kind) and not issubclass(exp.Union, kind))


def _is_show(node: Any) -> bool:
    """sqlglot reads DuckDB's ``FROM (SHOW t)`` as a table of that name with an alias."""
    from sqlglot import exp

    name = node.this if isinstance(node, exp.Table) else None
    unquoted = isinstance(name, exp.Identifier) and not name.args.get("quoted") and name.name.lower() == "show"
    return unquoted and isinstance(node.parent, exp.Subquery)


def _table_refusal(table: Any, dialect: str) -> str | None:
    from sqlglot import exp

    if isinstance(table.this, exp.Func):
        return None if _name(table.this) in _TABLE_FUNCTIONS else "refused table function"
    name = str(table.name)
    if _TABLES.fullmatch(name):
        return "refused table"
    if dialect == "duckdb" and any(map(_DUCKDB_CATALOG.fullmatch, (name, table.text("db")))):
        return "refused table"
    if dialect == "duckdb" and _NO_TABLE_NAME.search(name):
        return "reads a file"
    return None


def _name(function: Any) -> str:
    from sqlglot import exp

    if isinstance(function, exp.Anonymous):
        return str(function.name).lower()
    kind = type(function)
    return {"ReadCSV": "read_csv", "ReadParquet": "read_parquet"}.get(kind.__name__, str(kind.sql_name()).lower())


def _select(query: str, tree: Any, dialect: str) -> Select:
    from sqlglot import exp

    repeatable = not any(map(_changes, tree.walk()))
    distinct = isinstance(tree, exp.Select) and tree.args.get("distinct") is not None
    distinct |= isinstance(tree, exp.SetOperation) and bool(tree.args.get("distinct"))
    order = tree.args.get("order")
    if order is None:
        return Select(query, query, 0, None, distinct, repeatable)
    keys, further = _keys(tree, [key.this for key in order.expressions], may_add=not distinct)
    if not further:
        return Select(query, query, 0, keys, distinct, repeatable)
    keyed = tree.copy()
    keyed.set("expressions", [*keyed.expressions, *(exp.alias_(key, f"_key_{i}") for i, key in enumerate(further))])
    return Select(query, keyed.sql(dialect=dialect), len(further), keys, distinct, repeatable)


def _changes(node: Any) -> bool:
    """Whether it may give another value when the query runs again."""
    from sqlglot import exp

    if isinstance(node, exp.Func):
        name = _name(node)
        arguments = len(list(node.iter_expressions()))
        of_now = (name in _OF_NOW and arguments == 0) or (name == "age" and arguments == 1)
        return of_now or _UNREPEATABLE.fullmatch(name) is not None
    if isinstance(node, exp.Literal):
        return bool(node.is_string) and str(node.name).strip().lower() == "now"
    return isinstance(node, exp.TableSample)


def _keys(tree: Any, order: Iterable[Any], *, may_add: bool) -> tuple[tuple[int, ...], list[Any]]:
    """Where each key of an ORDER BY is found, and those that must be added to the columns; empty where one cannot."""
    from sqlglot import exp

    columns = tree.selects
    stars = any(column.is_star for column in columns)
    names = {} if stars else {column.alias_or_name.lower(): i for i, column in enumerate(columns)}
    places: list[int] = []
    further: list[Any] = []
    for key in order:
        place = None if stars else _place(key, columns, names)
        if place is None:
            if not may_add or not isinstance(tree, exp.Select) or isinstance(key, exp.Literal):
                return (), []
            further.append(_without_aliases(key, columns))
            place = -len(further)
        places.append(place)
    # counted from the row's end, the first of the further columns is the farthest
    return tuple(place if place >= 0 else -len(further) - 1 - place for place in places), further


def _place(key: Any, columns: list[Any], names: dict[str, int]) -> int | None:
    from sqlglot import exp

    if isinstance(key, exp.Literal) and not key.is_string and str(key.this).isdigit():
        return int(key.this) - 1 if 1 <= int(key.this) <= len(columns) else None
    if isinstance(key, exp.Column) and not key.table and key.name.lower() in names:
        return names[key.name.lower()]
    return next((i for i, column in enumerate(columns) if column.unalias() == key), None)


def _without_aliases(key: Any, columns: list[Any]) -> Any:
    """The key with each alias of a column in the place of that column's expression: a SELECT knows none of them."""
    from sqlglot import exp

    meant = {column.alias.lower(): column.unalias() for column in columns if column.alias}

    def own(node: Any) -> Any:
        if isinstance(node, exp.Column) and not node.table and node.name.lower() in meant:
            return exp.paren(meant[node.name.lower()].copy())
        return node

    return key.copy().transform(own)
