"""A YAML of an earlier release in the words of this one: what was renamed is written anew, all else stays as it is."""

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from tao_ops.errors import ConfigError

_ANY = "*"


@dataclass(frozen=True)
class Renamed:
    """A value that a release renamed.

    Attributes:
        path: the keys from the whole file down; ``*`` is any key, or any element of a list.
    """

    path: tuple[str, ...]
    old: str
    new: str


RENAMED = (
    Renamed(("tasks", _ANY, "scorers", _ANY, "name"), "strict_json", "json_schema"),
    Renamed(("tasks", _ANY, "scorers", _ANY, "kind"), "strict_json", "json_schema"),
)


def upgraded(text: str, where: object) -> tuple[str, list[str]]:
    """The text with every renamed value in its place, and what was done, a line each; comments and order stay.

    Args:
        where: how an error names the file.

    Raises:
        ConfigError: the text is no YAML.

    >>> upgraded("tasks: {t: {scorers: [{name: strict_json}]}} # mine", "shop.yaml")
    ('tasks: {t: {scorers: [{name: json_schema}]}} # mine', ['line 1: strict_json is json_schema now'])
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"not a YAML file: {error}", where=where, mend="mend that place; save it as UTF-8") from None
    # By their place: what stands behind an alias is written once, and found at each.
    found = {node.start_mark.index: (node, one) for one in RENAMED for node in _values(root, one)}
    for start, (node, one) in sorted(found.items(), reverse=True):
        text = text[:start] + one.new + text[node.end_mark.index :]
    lines = [(node.start_mark.line + 1, one) for _, (node, one) in sorted(found.items())]
    return text, [f"line {line}: {one.old} is {one.new} now" for line, one in lines]


def _values(root: yaml.Node | None, one: Renamed) -> Iterator[yaml.ScalarNode]:
    for node in _at(root, one.path):
        if isinstance(node, yaml.ScalarNode) and node.value == one.old:
            yield node


def _at(node: yaml.Node | None, path: tuple[str, ...]) -> Iterator[yaml.Node | None]:
    """The nodes that a path leads to."""
    if not path:
        yield node
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if path[0] in (_ANY, key.value):
                yield from _at(value, path[1:])
    elif isinstance(node, yaml.SequenceNode) and path[0] == _ANY:
        for value in node.value:
            yield from _at(value, path[1:])
