"""``json_schema``: the response is one strict JSON value that keeps to a schema, and nothing around it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from tao_ops.answers import strict_json, strict_object
from tao_ops.errors import ConfigError
from tao_ops.records import Candidate
from tao_ops.rewards.base import Score
from tao_ops.rewards.limits import LimitError, limited

_SECONDS = 1.0
"""Of processor time for one response: a schema's patterns and branches can take for ever."""
_FORMATS = ("date", "email", "ipv4", "ipv6", "uuid")
"""Values of ``format`` that are checked; the standard leaves it to the validator."""
_DATA = frozenset({"enum", "const", "default", "examples"})
"""Keywords whose values are no schemas."""


def fields(text: str, keys: Sequence[str]) -> dict[str, str] | None:
    """The object's values where it has exactly ``keys``, each a text without blanks at its ends; else None."""
    value = strict_object(text)
    if value is None or set(value) != set(keys):
        return None
    if not all(isinstance(v, str) and v and v == v.strip() for v in value.values()):
        return None
    return value


def score(
    batch: Sequence[Candidate], *, keys: Sequence[str] = (), schema: Mapping[str, Any] | bool | None = None
) -> list[Score]:
    """1 where the text is one strict JSON value that keeps to the schema; else 0.

    Args:
        batch: what is scored.
        keys: short for the schema of an object with exactly these keys, each a text without blanks at its ends.
        schema: JSON Schema 2020-12, or the draft that its ``$schema`` names; in the place of ``keys``.

    Raises:
        ConfigError: a reference of the schema leads nowhere, or a pattern is none. None is ever fetched.

    >>> batch = [Candidate("q", "Anna here", text) for text in ('{"customer": "Anna"}', "Anna", "[1.5]")]
    >>> [found.value for found in score(batch, keys=["customer"])]
    [1.0, 0.0, 0.0]
    >>> [found.value for found in score(batch, schema={"type": "array", "items": {"type": "number"}})]
    [0.0, 0.0, 1.0]
    """
    if schema is None:
        return [_keyed(candidate.text, keys) for candidate in batch]
    told = json.dumps(schema if isinstance(schema, bool) else dict(schema))
    return [_validated(candidate.text, told) for candidate in batch]


def check(schema: Any, where: object = None) -> None:
    """Refuse what is no schema, or refers to what is not within it.

    Raises:
        ConfigError: with one line that says what is wrong.
    """
    from jsonschema import SchemaError

    try:
        validator = _validator(json.dumps(schema))
        validator.check_schema(schema)
    except SchemaError as error:
        raise ConfigError(f"not a JSON schema: {error.json_path}: {error.message}", where=where) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigError(f"not a JSON schema: {error}", where=where) from error
    _check_references(schema, where)
    try:
        fault, _ = _verdict("null", json.dumps(schema))
    except RecursionError:
        fault = "a reference of the schema leads to itself without end"
    if fault:
        raise ConfigError(fault, where=where)


def _keyed(text: str, keys: Sequence[str]) -> Score:
    if fields(text, keys) is not None:
        return Score(1.0)
    return Score(0.0, "no JSON object" if strict_object(text) is None else "not the keys, or not texts")


def _validated(text: str, schema: str) -> Score:
    try:
        fault, reason = limited(_verdict, text, schema, seconds=_SECONDS, needs=("jsonschema", "referencing"))
    except LimitError as error:
        return Score(None, str(error))
    if fault:
        raise ConfigError(fault, mend="mend the schema")
    return Score(float(not reason), reason)


def _verdict(text: str, schema: str) -> tuple[str, str]:
    """What is wrong with the schema, and with the text; empty where nothing is."""
    from referencing.exceptions import Unresolvable

    try:
        value = strict_json(text)
    except ValueError:
        return "", "no JSON"
    try:
        error = next(_validator(schema).iter_errors(value), None)
    except Unresolvable as unresolvable:
        return f"a reference of the schema leads nowhere: {unresolvable.ref!r}", ""
    except re.error as broken:
        return f"a pattern of the schema is no regular expression: {broken}", ""
    except (OverflowError, ValueError):
        return "", "a number out of range"
    return "", "" if error is None else f"breaks the schema's {error.validator or 'false'!r}"


@lru_cache(maxsize=32)
def _validator(schema: str) -> Any:
    from jsonschema import Draft202012Validator, FormatChecker
    from jsonschema.validators import validator_for
    from referencing import Registry

    told = json.loads(schema)
    # A registry of its own: without one, a reference to an address would be fetched.
    return validator_for(told, default=Draft202012Validator)(
        told, registry=Registry(), format_checker=FormatChecker(_FORMATS)
    )


def _check_references(schema: Any, where: object) -> None:
    """Of a schema without names of its own; the others' references are looked up when a value gets there."""
    from jsonschema_specifications import REGISTRY
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    parts = list(_parts(schema))
    if any("$id" in part for part in parts):
        return
    resolver = REGISTRY.with_resource("", DRAFT202012.create_resource(schema)).resolver()
    for reference in (part.get("$ref") for part in parts):
        if isinstance(reference, str):
            try:
                resolver.lookup(reference)
            except Unresolvable as error:
                raise ConfigError(f"a reference leads nowhere: {reference!r}", where=where) from error


def _parts(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping within a schema that may be one."""
    if isinstance(schema, Mapping):
        yield schema
        for key, value in schema.items():
            if key not in _DATA:
                yield from _parts(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _parts(value)
