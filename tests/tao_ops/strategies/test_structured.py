"""``structured`` asks as production does, within the task's schema or grammar."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tao_ops.errors import ConfigError
from tao_ops.records import Prompt, Structure
from tao_ops.strategies import Strategy

Make = Callable[..., Strategy]

SCHEMA = '{"type": "object"}\n'


def test_it_asks_as_production_does_within_the_schema_as_it_stands(make: Make, include: Path, query: Prompt) -> None:
    (include / "s.json").write_text(SCHEMA, encoding="utf-8")
    strategy = make("structured", task={"json_schema": "s.json"})
    assert strategy.structure == Structure(json_schema=SCHEMA) and strategy.calls == 1
    assert strategy.conversation(query, 0, ()) == make("plain").conversation(query, 0, ())
    assert strategy.answer(" {} ") == "{}"


def test_a_grammar_is_taken_as_it_stands_and_counts_for_the_version(make: Make, include: Path) -> None:
    versions = []
    for grammar in ('root ::= "yes" | "no"', 'root ::= "yes"'):
        (include / "g.ebnf").write_text(grammar, encoding="utf-8")
        strategy = make("structured", task={"grammar": "g.ebnf"})
        assert strategy.structure == Structure(grammar=grammar)
        versions.append(strategy.version)
    assert len({*versions, make("plain").version}) == 3


@pytest.mark.parametrize(
    ("key", "content", "said"),
    [
        ("json_schema", b'{\n"type": objekt}', r"the JSON schema is no JSON: .*structure:2\]"),
        ("json_schema", b"[]", r"the JSON schema is no object .*structure\] — write"),
        ("json_schema", b"\xff", r"the JSON schema cannot be read: .*structure\] — save it as UTF-8"),
        ("grammar", b" \n", r"the grammar is empty .*structure\]"),
        ("grammar", b"\xff", r"the grammar cannot be read: .*structure\] — save it as UTF-8"),
    ],
)
def test_a_file_that_is_no_structure_is_named(make: Make, include: Path, key: str, content: bytes, said: str) -> None:
    (include / "structure").write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        make("structured", task={key: "structure"})
