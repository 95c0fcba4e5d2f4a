"""Whether the engine can hold responses to a JSON schema or a grammar: asked before anything is sampled."""

import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tao_ops.backends.grammars import Rules, UnknownPartError
from tao_ops.errors import ConfigError
from tao_ops.records import Structure

_CONDITIONS = frozenset({"not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies"})
_OF_ARRAYS = frozenset({"contains", "minContains", "maxContains", "uniqueItems"})
_OF_VALUES = frozenset({"multipleOf", "contentEncoding", "contentSchema", "$dynamicRef", "$recursiveRef"})
_IGNORED = _CONDITIONS | _OF_ARRAYS | _OF_VALUES
"""Keywords of JSON Schema that xgrammar passes over, most of them without a word."""
_FORMATS = frozenset(
    "date date-time time duration email hostname ipv4 ipv6 uuid uri uri-reference uri-template "  # noqa: SIM905
    "json-pointer relative-json-pointer".split()
)
_REST = ("additionalItems", "additionalProperties", "unevaluatedItems", "unevaluatedProperties", "propertyNames")
_ONE = ("items", "contains", "not", "if", "then", "else", *_REST)
_MANY = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_PREFIX = re.compile(r"^\[[\d:]+\] \S+:\d+: (Warning: )?", re.MULTILINE)
"""What xgrammar puts before each message: its time and its source file."""


def check(structure: Structure, where: object) -> None:
    """Refuse a JSON schema or a grammar that is broken, that no text can satisfy, or that the engine would not keep.

    A structure passes where a shortest text of xgrammar's own grammar exists and, for a schema, satisfies it. Where
    xgrammar is not installed (no engine is, then), a schema is only checked for being one, and a grammar not at all.

    Args:
        structure: what responses must be.
        where: what the error names as the place, usually the key in the YAML or the file.

    Raises:
        ConfigError: with one line that says what is wrong.
    """
    schema: Any = None
    if structure.json_schema is not None:
        schema = _schema(structure.json_schema, where)
        _check_keywords(schema, where)
    try:
        import xgrammar
    except ImportError:
        return
    if structure.json_schema is not None:
        shortest = _shortest(_compile(_of_schema, structure.json_schema, where), where)
        _check_text(schema, shortest, where)
    if structure.grammar is not None:
        _shortest(_compile(xgrammar.Grammar.from_ebnf, structure.grammar, where), where)


def schema_grammar(json_schema: str) -> str:
    """The grammar in EBNF of a JSON schema that :func:`check` has passed.

    JSON is held to one line, as ``json.dumps`` writes it: where any blanks are allowed, small models go on with them
    until the response is cut.
    """
    return str(_of_schema(json_schema))


def _of_schema(json_schema: str) -> Any:
    import xgrammar

    return xgrammar.Grammar.from_json_schema(json_schema, any_whitespace=False, separators=(", ", ": "))


def _schema(text: str, where: object) -> Any:
    from jsonschema import SchemaError

    try:
        schema = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"the schema is not JSON: {error}", where=where) from error
    try:
        _validator(schema).check_schema(schema)
    except SchemaError as error:
        raise ConfigError(f"not a JSON schema: {error.json_path}: {error.message}", where=where) from error
    return schema


def _validator(schema: Any) -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import validator_for
    from referencing import Registry

    # A registry of its own: without one, a reference to an address would be fetched.
    return validator_for(schema, default=Draft202012Validator)(schema, registry=Registry())


def _refusal(validator: Any, value: object, where: object) -> Any:
    """The first of the schema's objections to a value; None where there is none."""
    from referencing.exceptions import Unresolvable

    try:
        return next(validator.iter_errors(value), None)
    except Unresolvable as error:
        raise ConfigError(f"a reference leads nowhere: {error}", where=where) from error
    except RecursionError as error:
        raise ConfigError("a reference leads to itself without end", where=where) from error


def _check_keywords(schema: Any, where: object) -> None:
    """Refuse what the engine would pass over, and values that their own schema refuses."""
    whole = _validator(schema)
    for path, part in _parts(schema, "$"):
        ignored = sorted(_IGNORED & part.keys())
        if part.get("format", "date") not in _FORMATS:
            ignored.append("format")
        if len(part.get("allOf", ())) > 1:
            ignored.append("allOf")
        if ignored:
            raise ConfigError(
                f"{path}: {ignored[0]!r} is not supported: the engine would ignore it",
                where=where,
                mend="write the schema without it" + (", as one schema" if ignored[0] == "allOf" else ""),
            )
        rest = {name: value for name, value in part.items() if name not in ("enum", "const")}
        for value in [*part.get("enum", ()), *([part["const"]] if "const" in part else ())]:
            if refused := _refusal(whole.evolve(schema=rest), value, where):
                raise ConfigError(f"{path}: no response can be {json.dumps(value)}: {refused.message}", where=where)


def _parts(schema: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema within a schema that has keywords, with its path."""
    if not isinstance(schema, dict):
        return
    yield path, schema
    for key in _ONE:
        yield from _parts(schema.get(key), f"{path}.{key}")
    for key in _MANY:
        if isinstance(members := schema.get(key), list):
            for number, member in enumerate(members):
                yield from _parts(member, f"{path}.{key}[{number}]")
    for key in _NAMED:
        if isinstance(named := schema.get(key), dict):
            for name, member in named.items():
                yield from _parts(member, f"{path}.{key}.{name}")


def _compile(parse: Callable[[str], Any], text: str, where: object) -> dict[str, Any]:
    """The parsed grammar as plain data; what xgrammar would warn of is an error."""
    with _standard_error() as said:
        try:
            grammar: dict[str, Any] = json.loads(parse(text).serialize_json())
        except (RuntimeError, ValueError) as error:  # whatever xgrammar raises is one of them
            raise ConfigError(_plain(str(error)), where=where) from error
    if warnings := _plain("".join(said)):
        raise ConfigError(f"not supported by the engine: {warnings}", where=where)
    return grammar


def _plain(message: str) -> str:
    return _PREFIX.sub("", message.strip()).replace("\n", "; ")


@contextmanager
def _standard_error() -> Iterator[list[str]]:
    """What native code writes to the process's standard error, instead of its being shown."""
    said: list[str] = []
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as file:
            os.dup2(file.fileno(), 2)
            try:
                yield said
            finally:
                os.dup2(kept, 2)
                file.seek(0)
                said.append(file.read().decode(errors="replace"))
    finally:
        os.close(kept)


def _shortest(grammar: dict[str, Any], where: object) -> bytes | None:
    """A shortest text of the grammar; None where it holds something that only xgrammar itself can read.

    Raises:
        ConfigError: there is none, or a rule that can be entered can't be left.
    """
    try:
        rules = Rules(grammar)
        texts = rules.texts()
        reached = rules.reached()
    except UnknownPartError:
        return None
    for rule in reached:
        if texts[rule] is None:
            raise ConfigError(f"no text can satisfy it: rule {rules.name(rule)!r} never ends", where=where)
    return texts[rules.root]


def _check_text(schema: Any, text: bytes | None, where: object) -> None:
    """Refuse a schema that the shortest text the engine would sample does not satisfy."""
    if text is None:
        return
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"no JSON can satisfy it: the engine would sample {text.decode()!r}", where=where) from error
    if refused := _refusal(_validator(schema), value, where):
        raise ConfigError(
            f"no response can satisfy it, or the engine ignores a part: it allows {text.decode()}, "
            f"but {refused.json_path}: {refused.message}",
            where=where,
        )
