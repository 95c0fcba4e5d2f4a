"""The rules of a source, or the log's own word, say whose task a query is."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest

from tao_ops.config import SourceConfig
from tao_ops.routing import prompt_hash, tasks_of
from tao_ops.sources.records import LoggedQuery, record_batch

AT = datetime(2026, 11, 21, tzinfo=UTC)
BRIEF = "Be brief."


def _query(**fields: Any) -> LoggedQuery:
    return LoggedQuery("a:1", None, AT, ({"role": "user", "content": "hello"},), **fields)


def _tasks(
    rules: list[dict[str, str]], *queries: LoggedQuery, tasks: tuple[str, ...] = ("tickets", "sql")
) -> list[str | bool | None]:
    """Each query's task; False where it is not ours."""
    names, ours = tasks_of(record_batch(queries), SourceConfig(path="x", tasks=rules), list(tasks))
    assert names.type == "string" and ours.shape == (len(queries),)
    return [name if mine else False for name, mine in zip(names.to_pylist(), ours.tolist(), strict=True)]


def test_without_rules_the_logs_own_word_counts() -> None:
    queries = (_query(task="sql"), _query(task="tickets"), _query(), _query(task="poems"))
    assert _tasks([], *queries) == ["sql", "tickets", None, None]


def test_a_flywheel_of_one_task_needs_no_word_but_heeds_it() -> None:
    queries = (_query(), _query(task="tickets"), _query(task="sql"))
    assert _tasks([], *queries, tasks=("tickets",)) == ["tickets", "tickets", None]


@pytest.mark.parametrize(
    ("rule", "holds", "fails"),
    [
        ({"model": "shop-*"}, [{"model": "shop-1"}, {"model": "shop-"}], [{"model": "Shop-1"}, {"model": "a-shop-1"}]),
        ({"model": "shop-?"}, [{"model": "shop-1"}], [{"model": "shop-12"}, {"model": ""}]),
        ({"route": "/v1/*"}, [{"route": "/v1/a/b"}], [{"route": "/v2/a"}]),
        ({"tag": "beta"}, [{"tags": ("x", "beta")}, {"tags": ("beta", "beta")}], [{"tags": ("betas",)}, {"tags": ()}]),
        ({"tag": "team=*"}, [{"tags": ("a", "team=blue")}], [{"tags": ("a", "b")}]),
        ({"system_prompt": prompt_hash(BRIEF)}, [{"system": BRIEF}, {"system": f"\n {BRIEF} "}], [{"system": "Be."}]),
        ({"system_prompt": prompt_hash(BRIEF)[:12]}, [{"system": BRIEF}], [{"system": ""}]),
    ],
)
def test_a_rule_holds_where_it_says(rule: dict[str, str], holds: list[Any], fails: list[Any]) -> None:
    rules = [{"task": "tickets", **rule}]
    assert _tasks(rules, *(_query(**fields) for fields in holds)) == ["tickets"] * len(holds)
    assert _tasks(rules, *(_query(**fields) for fields in [*fails, {}])) == [False] * (len(fails) + 1)


def test_all_that_a_rule_names_must_hold() -> None:
    rules = [{"task": "tickets", "model": "shop", "tag": "beta", "route": "/a"}]
    whole = {"model": "shop", "tags": ("beta",), "route": "/a"}
    less = [{**whole, name: other} for name, other in (("model", "b"), ("tags", ()), ("route", None))]
    assert _tasks(rules, _query(**whole), *(_query(**one) for one in less)) == ["tickets", False, False, False]


def test_the_first_rule_that_holds_decides() -> None:
    rules = [{"task": "sql", "model": "shop-sql"}, {"task": "tickets", "model": "shop-*"}, {"task": "sql", "tag": "q"}]
    queries = (_query(model="shop-sql"), _query(model="shop-1", tags=("q",)), _query(model="a", tags=("q",)))
    assert _tasks(rules, *queries) == ["sql", "tickets", "sql"]


def test_with_rules_the_logs_own_word_does_not_count() -> None:
    assert _tasks([{"task": "sql", "model": "a"}], _query(model="a", task="tickets"), _query(task="sql")) == [
        "sql",
        False,
    ]


def test_a_tag_is_found_in_its_own_row() -> None:
    queries = [_query(tags=("a",) * n + (("beta",) if n == 3 else ())) for n in range(6)]
    batch = record_batch(queries).slice(2, 3)
    names, ours = tasks_of(batch, SourceConfig(path="x", tasks=[{"task": "t", "tag": "beta"}]), ["t"])
    assert ours.tolist() == [False, True, False] and names.to_pylist() == [None, "t", None]


def test_no_queries_have_no_tasks() -> None:
    assert _tasks([]) == [] == _tasks([{"task": "sql", "tag": "a"}])


def test_a_prompts_hash_knows_neither_blanks_nor_forms_of_unicode() -> None:
    assert prompt_hash("Zoe\u0308\n") == prompt_hash("  Zo\u00eb") == hashlib.sha256("Zo\u00eb".encode()).hexdigest()
    assert prompt_hash("a b") != prompt_hash("a  b")
