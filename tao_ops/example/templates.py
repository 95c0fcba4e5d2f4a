"""The wording of the example's messages: lists of sentences with slots, kept in YAML files."""

import re
from pathlib import Path

import yaml

from tao_ops.errors import ConfigError
from tao_ops.settings import PROJECT

INCLUDE = PROJECT / "include"
ANSWERS = ("customer", "product", "city")
"""The slots that every message fills, in the order of the reference's keys."""
DISTRACTORS = ("other_customer", "other_product", "other_city")
DETAILS = ("email", "phone", "order", "day", "price")
SLOT = re.compile(r"\{(\w+)\}")


def traffic_templates(include: Path = INCLUDE) -> tuple[str, ...]:
    """The wording of the query logs.

    Raises:
        ConfigError: see ``read_templates``.
    """
    return read_templates(include / "example" / "templates.yaml")


def benchmark_templates(include: Path = INCLUDE) -> tuple[str, ...]:
    """The wording of the benchmark, of which no five words in a row are in the logs' wording.

    Raises:
        ConfigError: see ``read_templates``.
    """
    return read_templates(include / "benchmarks" / "tickets" / "templates.yaml")


def read_templates(path: Path) -> tuple[str, ...]:
    """Read a YAML list of templates, in the file's order.

    Raises:
        ConfigError: the file is missing, is not a list of texts, or a template's slots are wrong.
    """
    if not path.is_file():
        raise ConfigError("no such file of templates", where=path, mend="restore it from the repository")
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ConfigError("a file of templates is a YAML list of texts", where=path)
    for number, text in enumerate(found, start=1):
        used = slots(text)
        unknown = set(used) - {*ANSWERS, *DISTRACTORS, *DETAILS}
        if unknown or any(used.count(slot) != 1 for slot in ANSWERS):
            raise ConfigError(
                f"template {number} must hold each of {', '.join(ANSWERS)} once, and no unknown slot",
                where=path,
            )
    return tuple(found)


def slots(template: str) -> list[str]:
    """The names of a template's slots, in their order: ``slots("{customer} in {city}")`` is two names."""
    return SLOT.findall(template)


def words(text: str) -> set[str]:
    """The words of a text or template in lower case, slots left out."""
    return set(re.findall(r"[a-z]+", SLOT.sub(" ", text).lower()))
