"""What is the same answer, and what is not."""

import pytest

from tao_ops.rewards.sql import Result, accepted, key, same

NAN = float("nan")
A = ((1, "Oslo"), (2, "Rome"), (2, "Rome"))


def _bag(*rows: tuple[object, ...]) -> Result:
    return Result(tuple(rows))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (A, A[::-1], True),
        (A, A[:2], False),
        (A, tuple(row[::-1] for row in A), True),
        (((1, "Oslo"), (2, "Rome")), ((1, "Rome"), (2, "Oslo")), False),
        (((1,),), ((1.0,),), True),
        (((1,),), (("1",),), False),
        (((0.1 + 0.2,),), ((0.3,),), True),
        (((0.3,),), ((0.31,),), False),
        (((3,),), ((0.1 * 30,),), True),
        (((2461367,),), ((2461368,),), False),
        (((2458486.3,),), ((2458486.4,),), False),
        (((2461367.0,), (2461368,)), ((2461368.0,), (2461367,)), True),
        (((0.1 + 0.2, "b"), (0.3, "a")), ((0.3, "b"), (0.1 + 0.2, "a")), True),
        (((1e300,), (float("inf"),)), ((float("inf"),), (1e300,)), True),
        (((10**18 + 1,),), ((10**18,),), False),
        (((NAN, None),), ((NAN, None),), True),
        (((None,),), ((NAN,),), False),
        (((None,),), ((0,),), False),
        (((b"a",),), (("a",),), False),
        ((), (), True),
        ((), ((1,),), False),
        (((10**400,),), ((1.0,),), False),
    ],
)
def test_bags_of_rows(
    one: tuple[tuple[object, ...], ...], other: tuple[tuple[object, ...], ...], expected: bool
) -> None:
    assert same(_bag(*one), _bag(*other)) is expected
    assert (key(_bag(*one), ordered=False) == key(_bag(*other), ordered=False)) is expected


def test_columns_that_look_alike_are_told_apart_by_their_rows() -> None:
    one, swapped = _bag((1, 2), (2, 1), (3, 3)), _bag((2, 1), (1, 2), (3, 3))
    other = _bag((1, 1), (2, 2), (3, 3))
    assert same(one, swapped) and not same(one, other)
    assert key(one, ordered=False) == key(swapped, ordered=False) != key(other, ordered=False)
    ring, turned = _bag((1, 2, 3), (2, 3, 1), (3, 1, 2)), _bag((2, 3, 1), (3, 1, 2), (1, 2, 3))
    assert key(ring, ordered=False) == key(turned, ordered=False)


def test_an_order_that_was_asked_for_counts_but_not_among_equal_keys() -> None:
    asked = Result(((1,), (2,), (3,)), groups=(2, 1))
    assert same(asked, _bag((2,), (1,), (3,)))
    assert not same(asked, _bag((1,), (3,), (2,)))
    assert same(asked, _bag((1,), (3,), (2,)), order=False)
    assert same(_bag((1,), (2,)), Result(((2,), (1,)), groups=(1, 1)))


def test_keys_with_order_ignore_the_order_of_equal_keys_alone() -> None:
    one, tied = Result(((1,), (2,), (3,)), groups=(2, 1)), Result(((2,), (1,), (3,)), groups=(2, 1))
    turned = Result(((3,), (2,), (1,)), groups=(1, 2))
    assert key(one, ordered=True) == key(tied, ordered=True) != key(turned, ordered=True)
    assert key(one, ordered=False) == key(turned, ordered=False)


def test_repeated_rows_do_not_count_where_a_set_was_asked_for() -> None:
    assert same(Result(((1,), (2,)), distinct=True), _bag((1,), (2,), (2,)))
    assert not same(_bag((1,), (2,)), _bag((1,), (2,), (2,)))
    assert same(_bag((1,), (2,)), _bag((1,), (2,), (2,)), repeats=False)
    assert same(Result(((2,), (1,)), (1, 1), distinct=True), _bag((2,), (2,), (1,)))


def test_further_columns_are_taken_only_where_they_may_be() -> None:
    wanted, more = _bag(("Oslo",), ("Rome",)), _bag((1, "Rome"), (2, "Oslo"))
    assert same(wanted, more, extra_columns=True) and not same(wanted, more)
    assert not same(more, wanted, extra_columns=True)


def test_many_look_alike_columns_do_not_take_for_ever() -> None:
    wide = _bag(*((i % 2,) * 60 for i in range(100)))
    assert same(wide, wide, extra_columns=True) and key(wide, ordered=False)
    few, many = _bag((3, 1)), _bag(tuple(range(2000)))
    assert same(few, many, extra_columns=True)
    assert key(many, ordered=False) == key(_bag(tuple(range(2000))[::-1]), ordered=False)
    pairs = _bag(tuple(range(100)) * 2, tuple(range(100))[::-1] * 2)
    assert same(pairs, pairs) and key(pairs, ordered=True) != key(_bag(tuple(range(100)) * 2), ordered=True)


@pytest.mark.parametrize(
    ("reference", "queries"),
    [
        ("SELECT 1;", ["SELECT 1"]),
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';' FROM t", ["SELECT ';' FROM t"]),
        ("SELECT 'it''s; {a, b}'", ["SELECT 'it''s; {a, b}'"]),
        ("SELECT {a, b} FROM t", ["SELECT a FROM t", "SELECT b FROM t", "SELECT a, b FROM t"]),
        ("SELECT {f(a, 1), b}", ["SELECT f(a, 1)", "SELECT b", "SELECT f(a, 1), b"]),
        ("SELECT {a} FROM t GROUP BY {}", ["SELECT a FROM t GROUP BY a"]),
        ("", []),
    ],
)
def test_a_reference_may_accept_several_queries(reference: str, queries: list[str]) -> None:
    assert accepted(reference) == queries


def test_a_reference_with_many_braces_is_bounded() -> None:
    assert len(accepted("SELECT {" + ",".join("abcdefghijklmnop") + "} FROM t; " * 10)) == 64
    assert len(accepted("SELECT " + ", ".join(["{a, b, c, d, e, f}"] * 50) + " FROM t")) == 64
    assert accepted("SELECT " + ", ".join(["{a, b, c, d, e, f}"] * 50) + " FROM {}")
    assert accepted("SELECT {" + ", ".join("a" * 40) + "}")
