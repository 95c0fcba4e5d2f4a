"""Queries made from a right one: wrong ones of several kinds, and others that mean the same."""

import random
from collections.abc import Callable, Iterator
from typing import Any

from sqlglot import exp, parse_one

Schema = dict[str, list[str]]
"""Columns by table."""
_AGGREGATES = (exp.Count, exp.Sum, exp.Avg, exp.Min, exp.Max)
_OPPOSITE = {
    exp.GT: (exp.GTE, exp.LT),
    exp.GTE: (exp.GT, exp.LTE),
    exp.LT: (exp.LTE, exp.GT),
    exp.LTE: (exp.LT, exp.GTE),
    exp.EQ: (exp.NEQ,),
    exp.NEQ: (exp.EQ,),
    exp.Add: (exp.Sub,),
    exp.Sub: (exp.Add,),
    exp.Div: (exp.Mul,),
    exp.Mul: (exp.Div,),
    exp.And: (exp.Or,),
    exp.Or: (exp.And,),
}


def wrong(gold: str, schema: Schema) -> dict[str, list[str]]:
    """Queries with one mistake, by its kind; some may give the right result after all."""
    kinds: dict[str, Callable[[Any, Schema], Iterator[Any]]] = {
        "filter dropped": _filters,
        "other column": _columns,
        "other aggregate": _aggregates,
        "wrong join": _joins,
        "other constant": _constants,
        "other operator": _operators,
        "other order": _orders,
        "other limit": _limits,
    }
    tree = parse_one(gold, dialect="sqlite")
    return {kind: _texts(make(tree, schema), gold) for kind, make in kinds.items()}


def _texts(trees: Iterator[Any], gold: str) -> list[str]:
    texts = (tree.sql(dialect="sqlite") for tree in trees)
    same = parse_one(gold, dialect="sqlite").sql(dialect="sqlite")
    return [text for text in dict.fromkeys(texts) if text != same]


def _each(tree: Any, kind: Any) -> Iterator[tuple[Any, Any]]:
    """Each node of a kind, in a copy of the tree of its own."""
    for i, _ in enumerate(tree.find_all(kind)):
        copy = tree.copy()
        yield copy, list(copy.find_all(kind))[i]


def _filters(tree: Any, _: Schema) -> Iterator[Any]:
    for kind in (exp.Where, exp.Having):
        for copy, node in _each(tree, kind):
            node.pop()
            yield copy
        for copy, node in _each(tree, kind):
            for conjunct in range(len(list(node.this.flatten())) if isinstance(node.this, exp.And) else 0):
                again = copy.copy()
                place = next(one for one in again.find_all(kind) if one == node)
                left = [part for i, part in enumerate(place.this.flatten()) if i != conjunct]
                place.set("this", exp.and_(*(part.copy() for part in left)))
                yield again


def _columns(tree: Any, schema: Schema) -> Iterator[Any]:
    tables = {table.alias_or_name: table.name for table in tree.find_all(exp.Table)}
    for i, column in enumerate(tree.find_all(exp.Column)):
        if column.find_ancestor(exp.Join) is not None:
            continue  # that is a wrong join
        owners = [tables[column.table]] if column.table in tables else list(dict.fromkeys(tables.values()))
        for other in dict.fromkeys(name for owner in owners for name in schema.get(owner, [])):
            if other.lower() != column.name.lower():
                copy = tree.copy()
                list(copy.find_all(exp.Column))[i].set("this", exp.to_identifier(other))
                yield copy


def _aggregates(tree: Any, _: Schema) -> Iterator[Any]:
    for copy, node in _each(tree, _AGGREGATES):
        inside = node.this
        if isinstance(inside, exp.Distinct):
            again = copy.copy()
            place = next(one for one in again.find_all(_AGGREGATES) if one == node)
            place.set("this", inside.expressions[0].copy())
            yield again
            inside = inside.expressions[0]
        if isinstance(inside, exp.Star):
            continue
        for other in _AGGREGATES:
            if not isinstance(node, other):
                again = copy.copy()
                place = next(one for one in again.find_all(_AGGREGATES) if one == node)
                fresh = other(this=inside.copy())
                if place is again:
                    continue
                place.replace(fresh)
                yield again
        if isinstance(node, exp.Count) and not isinstance(node.this, exp.Distinct):
            node.set("this", exp.Distinct(expressions=[inside.copy()]))
            yield copy


def _joins(tree: Any, schema: Schema) -> Iterator[Any]:
    tables = {table.alias_or_name: table.name for table in tree.find_all(exp.Table)}
    for copy, node in _each(tree, exp.Join):
        if node.args.get("on") is None:
            continue
        left = copy.copy()
        next(one for one in left.find_all(exp.Join) if one == node).set("side", "" if node.side else "LEFT")
        yield left
        crossed = copy.copy()
        place = next(one for one in crossed.find_all(exp.Join) if one == node)
        place.set("on", exp.true())
        yield crossed
        for i, column in enumerate(node.args["on"].find_all(exp.Column)):
            for other in schema.get(tables.get(column.table, ""), []):
                if other.lower() != column.name.lower():
                    again = copy.copy()
                    place = next(one for one in again.find_all(exp.Join) if one == node)
                    list(place.args["on"].find_all(exp.Column))[i].set("this", exp.to_identifier(other))
                    yield again


def _constants(tree: Any, _: Schema) -> Iterator[Any]:
    others = [node.this for node in tree.find_all(exp.Literal) if node.is_string]
    for i, literal in enumerate(tree.find_all(exp.Literal)):
        if literal.find_ancestor(exp.Limit, exp.Order, exp.Group) is not None:
            continue
        if literal.is_string:
            texts = dict.fromkeys(
                [*others, literal.this.upper(), literal.this[: len(literal.this) // 2], f"{literal.this}s"]
            )
            fresh = [exp.Literal.string(text) for text in texts if text != literal.this]
        else:
            number = float(literal.this)
            values = (number + 1, number - 1, number * 10, number * 2)
            fresh = [exp.Literal.number(f"{value:g}") for value in values if value != number and value >= 0]
        for one in fresh:
            copy = tree.copy()
            list(copy.find_all(exp.Literal))[i].replace(one)
            yield copy


def _operators(tree: Any, _: Schema) -> Iterator[Any]:
    for i, node in enumerate(tree.find_all(*_OPPOSITE)):
        if node.find_ancestor(exp.Join) is not None and node.find_ancestor(exp.Where) is None:
            continue
        for other in _OPPOSITE[type(node)]:
            copy = tree.copy()
            place = list(copy.find_all(*_OPPOSITE))[i]
            fresh = other(this=place.this.copy(), expression=place.expression.copy())
            if place is not copy:
                place.replace(fresh)
                yield copy


def _orders(tree: Any, _: Schema) -> Iterator[Any]:
    for copy, node in _each(tree, exp.Ordered):
        node.set("desc", not node.args.get("desc"))
        yield copy
    for copy, node in _each(tree, exp.Order):
        if len(node.expressions) > 1:
            again = copy.copy()
            place = next(one for one in again.find_all(exp.Order) if one == node)
            place.set("expressions", [one.copy() for one in reversed(node.expressions)])
            yield again
        node.pop()
        yield copy


def _limits(tree: Any, _: Schema) -> Iterator[Any]:
    for copy, node in _each(tree, exp.Limit):
        number = int(node.expression.this)
        for other in (number + 1, number - 1, number * 2):
            if other > 0:
                again = copy.copy()
                next(again.find_all(exp.Limit)).set("expression", exp.Literal.number(other))
                yield again
        node.pop()
        yield copy
    if isinstance(tree, exp.Select) and tree.args.get("limit") is None:
        for number in (1, 3):
            yield tree.copy().limit(number)


def equal(gold: str, rng: random.Random, tries: int = 24) -> list[str]:
    """Other texts that mean what ``gold`` does: from one to all of the rewritings that apply, in each."""
    texts = []
    for _ in range(tries):
        tree = parse_one(gold, dialect="sqlite")
        chosen = [make for make in _REWRITINGS if rng.random() < 0.5]
        for make in chosen:
            tree = make(tree, rng)
        texts.append(tree.sql(dialect="sqlite", pretty=rng.random() < 0.3))
    return [text for text in dict.fromkeys(texts) if text != gold]


def _swap_conjuncts(tree: Any, rng: random.Random) -> Any:
    def own(node: Any) -> Any:
        if isinstance(node, exp.And | exp.EQ | exp.Or) and rng.random() < 0.7:
            return type(node)(this=node.expression.copy(), expression=node.this.copy())
        return node

    return tree.transform(own)


def _rename_outputs(tree: Any, rng: random.Random) -> Any:
    """Other names for columns; only where no other part of the query uses the names."""
    if not isinstance(tree, exp.Select) or tree.args.get("order") or tree.args.get("having") or tree.args.get("group"):
        return tree
    names = [exp.alias_(column.unalias().copy(), f"c{rng.randrange(100)}_{i}") for i, column in enumerate(tree.selects)]
    if any(column.is_star for column in tree.selects):
        return tree
    copy = tree.copy()
    copy.set("expressions", names)
    return copy


def _parentheses(tree: Any, rng: random.Random) -> Any:
    def own(node: Any) -> Any:
        if isinstance(node, exp.Predicate) and not isinstance(node.parent, exp.Paren) and rng.random() < 0.7:
            return exp.paren(node.copy())
        return node

    return tree.transform(own) if not tree.find(exp.Join) else tree


def _turn_columns(tree: Any, _: random.Random) -> Any:
    """The columns the other way round; not where a number in GROUP BY or ORDER BY means one of them."""
    numbered = any(
        isinstance(node, exp.Literal)
        for part in (*tree.find_all(exp.Group), *tree.find_all(exp.Order))
        for node in part.find_all(exp.Literal)
    )
    if not isinstance(tree, exp.Select) or numbered or any(column.is_star for column in tree.selects):
        return tree
    copy = tree.copy()
    copy.set("expressions", list(reversed(copy.expressions)))
    return copy


def _between(tree: Any, _: random.Random) -> Any:
    def own(node: Any) -> Any:
        if isinstance(node, exp.Between):
            low = exp.GTE(this=node.this.copy(), expression=node.args["low"].copy())
            return exp.paren(exp.and_(low, exp.LTE(this=node.this.copy(), expression=node.args["high"].copy())))
        return node

    return tree.transform(own)


def _turn_comparison(tree: Any, rng: random.Random) -> Any:
    turned = {exp.GT: exp.LT, exp.LT: exp.GT, exp.GTE: exp.LTE, exp.LTE: exp.GTE}

    def own(node: Any) -> Any:
        if type(node) in turned and rng.random() < 0.7:
            return turned[type(node)](this=node.expression.copy(), expression=node.this.copy())
        return node

    return tree.transform(own)


def _turn_join(tree: Any, _: random.Random) -> Any:
    """The two tables of a query with one inner join in the other order."""
    joins = tree.args.get("joins") or []
    table = tree.args.get("from_")
    if len(joins) != 1 or joins[0].side or joins[0].args.get("on") is None or table is None:
        return tree
    copy = tree.copy()
    first, join = copy.args["from_"].this.copy(), copy.args["joins"][0]
    copy.args["from_"].set("this", join.this.copy())
    join.set("this", first)
    return copy


def _wrap(tree: Any, _: random.Random) -> Any:
    """The query as a subquery of one that takes all of it; without an order, which that would lose."""
    if not isinstance(tree, exp.Select) or tree.args.get("order") or tree.args.get("with_"):
        return tree
    return exp.select("*").from_(tree.subquery("whole"))


_REWRITINGS = (
    _swap_conjuncts,
    _rename_outputs,
    _parentheses,
    _turn_columns,
    _between,
    _turn_comparison,
    _turn_join,
    _wrap,
)
