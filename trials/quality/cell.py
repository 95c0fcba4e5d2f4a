"""A cell: one measurement of one seed, named by what it measures."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from trials.quality.settings import INCLUDE, SHAPES, TODAY

Settings = Mapping[str, Any]
"""A flywheel's YAML, as it is run."""
Known = Mapping[str, Mapping[str, Any]]
"""The cells of a part that were measured, by their keys."""


@dataclass(frozen=True)
class Cell:
    """One cell of a part, which may not have been measured yet.

    Attributes:
        settings: the flywheel's YAML that the cell runs.
        measure: runs it; takes minutes.
    """

    seed: int
    name: str
    settings: Settings
    measure: Callable[[], dict[str, Any]]

    @property
    def key(self) -> str:
        """Where it is kept among the cells of its part."""
        return key(self.seed, self.name)

    @property
    def definition(self) -> str:
        """A digest of what is measured: a cell of the same is known, whatever code was changed since."""
        return digest([self.seed, self.name, self.settings, str(TODAY), data_digest()])


def key(seed: int, name: str) -> str:
    """The key of a cell within its part."""
    return f"{seed}-{name}"


def digest(told: Any) -> str:
    """First 16 hex digits of the SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


@cache
def data_digest() -> str:
    """Of the example's data: prompts, worked examples, templates and benchmark."""
    sha = hashlib.sha256()
    for folder in SHAPES:
        for path in sorted((INCLUDE / folder).rglob("*")):
            if path.is_file():
                sha.update(f"{path.relative_to(INCLUDE)}\0".encode() + path.read_bytes())
    return sha.hexdigest()[:16]
