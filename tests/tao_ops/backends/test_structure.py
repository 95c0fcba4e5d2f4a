"""Which JSON schemas and grammars the engine can keep, and what is said of the others."""

import builtins
import json
from typing import Any

import pytest

from tao_ops.backends.structure import check, schema_grammar
from tao_ops.errors import ConfigError
from tao_ops.records import Structure

TEXT = {"type": "string"}
LOOP = {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}

DEEP = {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]}


def _refused(schema: Any = None, grammar: str | None = None) -> str:
    text = schema if schema is None or isinstance(schema, str) else json.dumps(schema)
    with pytest.raises(ConfigError) as refused:
        check(Structure(json_schema=text, grammar=grammar), "tasks.t.strategies.s.schema")
    line = str(refused.value)
    assert "tasks.t.strategies.s.schema" in line and "\n" not in line
    assert "/project/" not in line and ".cc:" not in line
    return line


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        {"enum": ["x", 2, None]},
        {"type": "object", "properties": {"not": TEXT, "if": TEXT}, "required": ["not"]},
        {"type": "array", "items": {"$ref": "#/$defs/pair"}, "minItems": 1, "$defs": {"pair": {"enum": ["x", 2]}}},
        {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}, "required": ["next"]},
        {"type": "object", "properties": {"day": {"type": "string", "format": "date"}}, "required": ["day"]},
        {"type": "string", "pattern": "^[0-9]{3}-[a-z]+$"},
        {"type": "string", "minLength": 5000},
        {"allOf": [{"type": "integer", "minimum": 3}]},
        {"oneOf": [TEXT, {"type": "integer"}]},
        {"type": "object", "additionalProperties": {"type": "integer"}, "title": "counts", "default": {}},
    ],
)
def test_a_schema_that_can_be_kept_passes(schema: Any) -> None:
    check(Structure(json_schema=json.dumps(schema)), "here")


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("{", "the schema is not JSON"),
        ({"type": "nope"}, "not a JSON schema: $.type"),
        ({"anyOf": []}, "not a JSON schema: $.anyOf"),
        ({"type": "string", "pattern": "["}, "not a JSON schema: $.pattern"),
        (False, "Schema 'false' cannot accept any value"),
        ({"type": "string", "minLength": 5, "maxLength": 2}, "minLength 5 is greater than maxLength 2"),
        ({"type": "integer", "minimum": 5, "maximum": 2}, "minimum greater than maximum"),
        ({"enum": []}, "enum array must not be empty"),
        ({"$ref": "#/$defs/none"}, "$defs"),
        ({"$ref": "https://example.org/schema", "enum": [1]}, "a reference leads nowhere"),
        ({"$ref": "#"}, "rule 'root' never ends"),
        ({"$ref": "#", "enum": [1]}, "leads to itself without end"),
        (LOOP, "no text can satisfy it: rule 'root' never ends"),
        ({"type": "object", "properties": {"b": {"$ref": "#/$defs/a"}}, "$defs": {"a": DEEP}}, "never ends"),
    ],
)
def test_a_schema_that_is_broken_or_never_ends_is_refused(schema: Any, message: str) -> None:
    assert message in _refused(schema)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"enum": ["a"], "type": "integer"}, "$: no response can be \"a\": 'a' is not of type 'integer'"),
        ({"const": 1, "type": "string"}, "$: no response can be 1"),
        ({"type": "array", "items": {"type": "string", "enum": ["a", None]}}, "$.items: no response can be null"),
        ({"type": "object", "properties": {"a": TEXT}, "required": ["b"]}, "'b' is a required property"),
        ({"$ref": "#/$defs/a", "minLength": 3, "$defs": {"a": TEXT}}, 'it allows ""'),
    ],
)
def test_a_value_that_its_own_schema_refuses_is_told(schema: Any, message: str) -> None:
    assert message in _refused(schema)


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"not": {}}, "not"),
        ({"allOf": [TEXT, {"type": "integer"}]}, "allOf"),
        ({"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}, "uniqueItems"),
        ({"type": "number", "multipleOf": 2}, "multipleOf"),
        ({"if": TEXT, "then": {"maxLength": 2}}, "if"),
        ({"type": "string", "format": "phone"}, "format"),
    ],
)
def test_what_the_engine_would_pass_over_is_refused(
    schema: Any, keyword: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert f"'{keyword}' is not supported: the engine would ignore it" in _refused(schema)
    assert capfd.readouterr() == ("", "")


def test_what_xgrammar_warns_of_is_an_error_and_no_noise(capfd: pytest.CaptureFixture[str]) -> None:
    assert "not supported by the engine: pattern combined with minLength/maxLength" in _refused(
        {"type": "string", "pattern": "a+", "minLength": 3}
    )
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "grammar",
    ['root ::= "a" root | "b"', 'root ::= [^a-z]\nunused ::= "x" unused', 'root ::= "a"{2,3} b+\nb ::= [a-z]'],
)
def test_a_grammar_that_ends_passes(grammar: str) -> None:
    check(Structure(grammar=grammar), "here")


@pytest.mark.parametrize(
    ("grammar", "message"),
    [
        ("", 'The root rule with name "root" is not found'),
        ("root ::= x", 'line 1, column 10: Rule "x" is not defined'),
        ("root ::= [", "Unterminated character class"),
        ('root ::= "a" root', "no text can satisfy it: rule 'root' never ends"),
        ('root ::= "x" | "a" b\nb ::= "c" b', "rule 'b' never ends"),
        ("root ::= [^\\x00-\\U0010ffff]", "never ends"),
    ],
)
def test_a_grammar_that_is_broken_or_never_ends_is_refused(grammar: str, message: str) -> None:
    assert message in _refused(grammar=grammar)


def test_without_xgrammar_only_the_schema_itself_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "xgrammar":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    check(Structure(json_schema=json.dumps(LOOP)), "here")
    check(Structure(grammar="root ::= ["), "here")
    assert "not a JSON schema" in _refused({"type": "nope"})


def test_json_is_held_to_one_line() -> None:
    import xgrammar

    schema = {
        "type": "object",
        "properties": {"a": {"type": "array", "items": TEXT}, "b": TEXT},
        "required": ["a", "b"],
    }
    grammar = schema_grammar(json.dumps(schema))
    assert str(xgrammar.Grammar.from_ebnf(grammar)) == grammar
    assert '"{" "\\"a\\"" ": "' in grammar
