"""``KEY.PATH=VALUE``: changes to a flywheel's YAML for one run, checked as the YAML itself is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from tao_ops.errors import ConfigError

OPTION = "--set"

_FIXED = {
    "name": "it says which flywheel this is",
    "schedule": "it says which turns there are",
    "timezone": "it says which turns there are",
    "operation": "the DAG is made of it before a run begins",
    "launch": "the DAG is made of it before a run begins",
}


class Once(yaml.SafeLoader):
    """Reads YAML; a key that stands twice in a mapping is refused, where the last one would win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value!r} is there twice", problem_mark=key.start_mark
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else "")
        return super().construct_mapping(node, deep)


@dataclass(frozen=True)
class Override:
    """One changed key.

    Attributes:
        key: as it was given, ``generate.budget.tokens``.
        value: as YAML reads it.
    """

    key: str
    value: Any

    @property
    def path(self) -> tuple[str, ...]:
        """The keys from the whole file down."""
        return tuple(self.key.split("."))

    def error(self, message: str, mend: str) -> ConfigError:
        """What is wrong with it, in the words of the command line."""
        return ConfigError(message, where=f"{OPTION} {self.key}", mend=mend)


def parse(texts: Iterable[str]) -> list[Override]:
    """Read ``generate.budget.tokens=5000``; the value is YAML: a number, ``true``, ``null``, a text, ``[a, b]``.

    Raises:
        ConfigError: a text is no ``KEY.PATH=VALUE``, or its key belongs to no single run.

    >>> [(one.path, one.value) for one in parse(["generate.budget.tokens=5000", "dry_run=true"])]
    [(('generate', 'budget', 'tokens'), 5000), (('dry_run',), True)]
    """
    return [_parse(text) for text in texts]


def _parse(text: str) -> Override:
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not all(part.strip() == part and part for part in key.split(".")):
        raise ConfigError(f"{text!r} is no KEY.PATH=VALUE", where=OPTION, mend="write update.method=dpo")
    try:
        override = Override(key, yaml.load(value, Once))
    except (yaml.YAMLError, ValueError, RecursionError):  # a date that is none is a ValueError
        raise Override(key, None).error(f"{value!r} is not a YAML value", "put it in quotes") from None
    if why := _FIXED.get(override.path[0]):
        raise override.error("this key is not changed for one run", f"change it in the YAML: {why}")
    return override


def apply(raw: Any, overrides: Sequence[Override]) -> Any:
    """What a YAML file holds, with the changes made; later ones win. ``raw`` stays as it is.

    Raises:
        ConfigError: a key leads through something that holds no keys, or past the end of a list.
    """
    for override in overrides:
        raw = _changed(raw, override, override.path)
    return raw


def _changed(place: Any, override: Override, rest: tuple[str, ...]) -> Any:
    if not rest:
        return override.value
    if isinstance(place, list):
        return _changed_list(place, override, rest)
    if place is not None and not isinstance(place, dict):
        above = ".".join(override.path[: len(override.path) - len(rest)])
        raise override.error(f"'{above}' is {place!r} and holds no key {rest[0]!r}", "mend the key's spelling")
    held = place or {}
    # A task's name may have dots of its own.
    lengths = (n for n in range(len(rest), 0, -1) if ".".join(rest[:n]) in held)
    length = next(lengths, 1)
    key = ".".join(rest[:length])
    return {**held, key: _changed(held.get(key), override, rest[length:])}


def _changed_list(place: list[Any], override: Override, rest: tuple[str, ...]) -> list[Any]:
    index = int(rest[0]) if rest[0].isdecimal() else len(place)
    if index >= len(place):
        above = ".".join(override.path[: len(override.path) - len(rest)])
        raise override.error(
            f"'{above}' has no element {rest[0]!r}", f"it has 0 to {len(place) - 1}" if place else "it is empty"
        )
    return [_changed(one, override, rest[1:]) if i == index else one for i, one in enumerate(place)]


def blamed(overrides: Sequence[Override], location: Sequence[str]) -> str:
    """Which of the changes an error at ``location`` comes from, where the YAML alone has none."""
    here = tuple(location)

    def together(path: tuple[str, ...]) -> bool:
        shorter = min(len(path), len(here))
        return path[:shorter] == here[:shorter]

    guilty = next((one for one in reversed(overrides) if together(one.path)), None)
    if guilty is None:
        return f"{', '.join(f'{OPTION} {one.key}' for one in overrides)}: {'.'.join(here)}"
    deeper = len(here) > len(guilty.path)
    return f"{OPTION} {guilty.key}" + (f": {'.'.join(here)}" if deeper else "")
