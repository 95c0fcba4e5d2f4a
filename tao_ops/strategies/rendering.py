"""Templates of strategies: Jinja files with a few known fields, checked whole before anything is sampled."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from jinja2 import StrictUndefined, TemplateSyntaxError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tao_ops import prompts
from tao_ops.errors import ConfigError
from tao_ops.records import Message, Prompt
from tao_ops.strategies.base import Base, Given, read_text

_JINJA = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
_JINJA.globals.clear()  # a field is the only name that there is
_FILENAME = "<template>"
"""What Jinja calls the file of a template in a traceback."""


@dataclass(frozen=True)
class Fields:
    """The fields of a template: those that it must name, and those that it may name besides."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    def __str__(self) -> str:
        needed = [f"{{{{ {name} }}}} (needed)" for name in self.required]
        return ", ".join([*needed, *(f"{{{{ {name} }}}}" for name in self.optional)])


class Template:
    """One template. The values of its fields are texts and stay texts, whatever braces they hold."""

    def __init__(self, path: Path, fields: Fields) -> None:
        """Read ``path`` and check it.

        Raises:
            ConfigError: it is empty or no template, lacks a field, names one that there is not, or cannot be filled.
        """
        self.path = path
        self.text = read_text(path, "the template").rstrip()
        self.names = self._names(fields)
        self._template = _JINJA.from_string(self.text)
        # Once with any values: what is sampled for an hour must not end at an expression that always fails.
        if not self.render({name: f"({name})" for name in (*fields.required, *fields.optional)}).strip():
            raise ConfigError("the template is empty", where=path, mend=f"write what to ask; its fields are {fields}")
        if lacking := [name for name in fields.required if name not in self.names]:
            what = f"the template lacks {{{{ {lacking[0]} }}}}"
            raise ConfigError(what, where=path, mend=f"write it in; its fields are {fields}")

    def render(self, values: Mapping[str, str]) -> str:
        """The template with ``values`` in its fields.

        Raises:
            ConfigError: an expression in it fails.
        """
        try:
            return self._template.render(values)
        except Exception as error:  # a template is its author's code, and may raise anything
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _FILENAME]
            raise ConfigError(
                f"the template cannot be filled: {type(error).__name__}: {error}",
                where=f"{self.path}:{lines[-1]}" if lines else self.path,
                mend="mend that expression; fields are texts",
            ) from None

    def _names(self, fields: Fields) -> set[str]:
        """The fields that it names, all of them known."""
        try:
            parsed = _JINJA.parse(self.text)
            names = meta.find_undeclared_variables(parsed)
        except TemplateSyntaxError as error:
            raise ConfigError(
                f"not a template: {error.message}",
                where=f"{self.path}:{error.lineno}",
                mend="mend it there; braces that are text stand between {% raw %} and {% endraw %}",
            ) from None
        for node in parsed.find_all(nodes.Name):
            if node.name in names - {*fields.required, *fields.optional}:
                where = f"{self.path}:{node.lineno}"
                raise ConfigError(f"there is no field {node.name!r}", where=where, mend=f"its fields are {fields}")
        return names


class Templated(Base):
    """A strategy with templates."""

    steps: ClassVar[Mapping[str, Fields]]
    """The fields of each of its templates; ``marker`` is one besides where an answer follows one."""

    def __init__(self, given: Given) -> None:
        config = given.config
        self._templates = {}
        for step, file in config.template_files.items():
            fields = self.steps[step]
            if config.marker is not None:
                fields = Fields(fields.required, (*fields.optional, "marker"))
            self._templates[step] = Template(given.flywheel.file(file), fields)
        if config.marker is not None and config.answer_after is None:
            _check_marker(self._templates["ask"], config.marker)
        super().__init__(given, {step: template.text for step, template in self._templates.items()})

    def _render(self, step: str, prompt: Prompt, **more: str) -> str:
        values = {"prompt": self._prompt, "query": prompt.text, "marker": self._marker or "", **more}
        return self._templates[step].render(values)

    def _under(self, step: str, prompt: Prompt, **more: str) -> list[Message]:
        """The query's conversation with a template in the place of the production prompt."""
        return prompts.production(self._render(step, prompt, **more), prompt.messages)


def _check_marker(template: Template, marker: str) -> None:
    # Without it no response would have an answer, and nothing would say why.
    if "marker" not in template.names and marker not in template.text:
        raise ConfigError(
            f"the template asks for no {marker!r}",
            where=template.path,
            mend="write that {{ marker }} stands before the answer, or set 'answer_after'",
        )
