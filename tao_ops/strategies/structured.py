"""``structured``: the production prompt; only tokens that keep to the task's schema or grammar are sampled."""

import json
from dataclasses import asdict
from pathlib import Path

from tao_ops.errors import ConfigError
from tao_ops.records import Structure
from tao_ops.strategies.base import Given, read_text
from tao_ops.strategies.plain import Plain


class Structured(Plain):
    """Guided generation (Willard and Louf, arXiv 2307.09702): what the model knows, in the form that is asked for.

    It is the way out where a model knows the answer and misses its form.
    """

    def __init__(self, given: Given) -> None:
        self.structure = _structure(given)
        super().__init__(given, asdict(self.structure))


def _structure(given: Given) -> Structure:
    task = given.flywheel.tasks[given.task]
    if task.json_schema is not None:
        return Structure(json_schema=_schema(given.flywheel.file(task.json_schema)))
    path = given.flywheel.file(str(task.grammar))
    grammar = read_text(path, "the grammar")
    if not grammar.strip():
        raise ConfigError("the grammar is empty", where=path, mend="write its rules; it begins at root")
    return Structure(grammar=grammar)


def _schema(path: Path) -> str:
    text = read_text(path, "the JSON schema")
    try:
        schema = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"{path}:{error.lineno}"
        raise ConfigError(f"the JSON schema is no JSON: {error.msg}", where=where, mend="mend it there") from None
    if not isinstance(schema, dict):
        raise ConfigError("the JSON schema is no object", where=path, mend='write {"type": "object", …}')
    return text
