"""What is asked where a row holds columns and no messages: a text with ``$column`` for each of them."""

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from tao_ops.errors import ConfigError


def read(path: Path) -> str:
    """A template's text, without blanks around it.

    Raises:
        ConfigError: the file cannot be read, is empty, or holds a ``$`` that begins no name.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the template cannot be read: {error}", where=path, mend="save it as UTF-8") from None
    if not text:
        raise ConfigError("the template is empty", where=path, mend="write what is asked, with $column for a column")
    for number, line in enumerate(text.splitlines(), start=1):
        if not Template(line).is_valid():
            raise ConfigError("a '$' that begins no name", where=f"{path}:{number}", mend="write $$ for a dollar sign")
    return text


def names(template: str) -> list[str]:
    """The columns that a template asks for.

    >>> names("$question costs $$5, ${unit}")
    ['question', 'unit']
    """
    return Template(template).get_identifiers()


def render(template: str, columns: Mapping[str, Any], *, where: str, told: str) -> str:
    """The template with a row's columns in it.

    Args:
        where: the row's place.
        told: the template's own, for the error's text.

    Raises:
        ConfigError: it names a column that the row has not, or that is empty.

    >>> render("Where is $name?", {"name": "Ana"}, where="items.csv:2", told="ask.txt")
    'Where is Ana?'
    """
    values = {}
    for name in names(template):
        if columns.get(name) is None:
            known = ", ".join(sorted(map(str, columns))) or "none"
            raise ConfigError(
                f"template {told} names column {name!r}, which is not there",
                where=where,
                mend=f"name one of: {known}",
            )
        values[name] = as_text(columns[name])
    return Template(template).substitute(values)


def as_text(value: Any) -> str:
    """A column's value in a text: a text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
