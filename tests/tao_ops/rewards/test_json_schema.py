"""One JSON value that keeps to the keys or the schema; nothing around it."""

from typing import Any

import pytest

from tao_ops.errors import ConfigError
from tao_ops.records import Candidate
from tao_ops.rewards.base import Score
from tao_ops.rewards.json_schema import check, fields, score

KEYS = ("customer", "city")
GOOD = '{"customer": "Anna", "city": "Oslo"}'
ORDER = {
    "type": "object",
    "properties": {"sku": {"type": "string", "pattern": "^[A-Z]{2}$"}, "day": {"format": "date"}, "n": {"minimum": 1}},
    "required": ["sku"],
    "additionalProperties": False,
}


def one(text: str, schema: Any) -> Score:
    return score([Candidate("q", "", text)], schema=schema)[0]


def test_the_right_object_scores_whatever_its_order_and_outer_blanks() -> None:
    texts = [GOOD, '{"city": "Oslo", "customer": "Anna"}', f" \n{GOOD}\n"]
    assert score([Candidate("q", "", text) for text in texts], keys=KEYS) == [Score(1.0)] * 3
    assert fields(GOOD, KEYS) == {"customer": "Anna", "city": "Oslo"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Anna, Oslo",
        f"Sure! {GOOD}",
        f"```json\n{GOOD}\n```",
        f"{GOOD}{GOOD}",
        f"[{GOOD}]",
        "{'customer': 'Anna', 'city': 'Oslo'}",
        '{"customer": "Anna"}',
        '{"customer": "Anna", "city": "Oslo", "country": "Norway"}',
        '{"customer": "Anna", "city": "Oslo", "city": "Rome"}',
        '{"customer": "Anna", "city": ""}',
        '{"customer": "Anna", "city": "  "}',
        '{"customer": "Anna", "city": " Oslo"}',
        '{"customer": "Anna", "city": "Oslo "}',
        '{"customer": "Anna", "city": null}',
        '{"customer": "Anna", "city": NaN}',
        '{"customer": "Anna", "city": ["Oslo"]}',
        '{"customer": "Anna", "city": "\\ud800"}',
        '{"customer": "Anna", "city": "\ud800"}',
        "[" * 100_000,
    ],
)
def test_anything_else_scores_nothing(text: str) -> None:
    assert score([Candidate("q", "", text)], keys=KEYS)[0].value == 0.0


def test_no_candidates_no_scores() -> None:
    assert score([], keys=KEYS) == score([], schema=True) == []


@pytest.mark.parametrize(
    ("text", "value", "reason"),
    [
        ('{"sku": "AB", "day": "2024-02-29", "n": 1}', 1.0, ""),
        ('{"sku": "AB", "n": 0}', 0.0, "breaks the schema's 'minimum'"),
        ('{"sku": "AB", "day": "2023-02-29"}', 0.0, "breaks the schema's 'format'"),
        ('{"sku": "ABC"}', 0.0, "breaks the schema's 'pattern'"),
        ('{"sku": "AB", "more": 1}', 0.0, "breaks the schema's 'additionalProperties'"),
        ('{"sku": "AB", "sku": "AB"}', 0.0, "no JSON"),
        ('{"sku": "AB"} ok?', 0.0, "no JSON"),
        ('{"sku": "AB", "n": NaN}', 0.0, "no JSON"),
        ("[" * 1000 + "]" * 1000, 0.0, "no JSON"),
    ],
)
def test_a_value_is_held_to_a_schema(text: str, value: float, reason: str) -> None:
    assert one(text, ORDER) == Score(value, reason)


def test_any_json_value_can_be_asked_for() -> None:
    assert one("null", {"type": "null"}) == one(" -2.5e3 ", {"type": "number"}) == one('"a"', True) == Score(1.0)
    assert one("true", {"type": "integer"}).value == one("1", False).value == 0.0


def test_a_pattern_without_end_is_undecided_and_the_next_response_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tao_ops.rewards.json_schema._SECONDS", 0.3)
    hostile = {"type": "string", "pattern": "^(a|a)*$"}
    found = score([Candidate("q", "", text) for text in (f'"{"a" * 60}!"', '"aa"')], schema=hostile)
    assert found == [Score(None, "time limit"), Score(1.0)]


def test_branches_without_end_are_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tao_ops.rewards.json_schema._SECONDS", 0.3)
    again = {"items": {"$ref": "#"}, "type": "array"}
    assert one("[" * 60 + "1" + "]" * 60, {"anyOf": [again, {**again, "minItems": 2}, again]}).value is None


def test_a_deep_response_is_no_error_of_the_schema() -> None:
    part = {"allOf": [{"anyOf": [{"type": "number"}, {"$ref": "#/$defs/list"}]}]}
    lists = {"$ref": "#/$defs/list", "$defs": {"list": {"type": "array", "items": part}}}
    assert one("[" * 190 + "1" + "]" * 190, lists) == Score(1.0)
    assert one("[1]", {"$ref": "#"}) == Score(None, "nested too deep")


def test_numbers_out_of_range_are_no_error() -> None:
    assert one("1e999", {"type": "number", "multipleOf": 0.1}).value in (0.0, None)
    assert one("1" * 4000, {"multipleOf": 0.1}).value in (0.0, None)
    assert one("1" * 5000, {"type": "integer"}).value in (0.0, None)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (5, "not a JSON schema"),
        ({"type": "text"}, "not a JSON schema"),
        ({"pattern": "("}, "not a JSON schema"),
        ({"$ref": "#"}, "itself without end"),
        ({"items": {"$ref": "#/$defs/gone"}}, "leads nowhere"),
        ({"items": {"$ref": "https://example.com/schema.json"}}, "leads nowhere"),
    ],
)
def test_a_broken_schema_is_refused(schema: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check(schema, where="order.json")


def test_a_sound_schema_is_not() -> None:
    check(ORDER)
    check({"$id": "https://a.example/b", "$ref": "b#/$defs/c", "$defs": {"c": True}})
    check({"$ref": "#/$defs/tree", "$defs": {"tree": {"items": {"$ref": "#/$defs/tree"}}}})
    check({"enum": [{"$ref": "https://example.com/this-is-data"}]})


def test_nothing_is_fetched() -> None:
    with pytest.raises(ConfigError, match="leads nowhere"):
        one("[1]", {"$id": "https://a.example/b", "items": {"$ref": "http://127.0.0.1:1/schema.json"}})
