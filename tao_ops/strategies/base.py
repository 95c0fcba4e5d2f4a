"""What all strategies share: what they are built from, one call, and the answer in a response."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tao_ops import prompts
from tao_ops.config import Flywheel, StrategyConfig
from tao_ops.errors import ConfigError
from tao_ops.records import Message, Structure

_FENCE = "```"
_BOLD = "**"


@dataclass(frozen=True)
class Given:
    """What a strategy is built from."""

    flywheel: Flywheel
    task: str
    config: StrategyConfig
    prompt: str
    """The production prompt."""
    seed: int
    bootstrapped: Sequence[Sequence[Message]] = ()
    """Worked examples out of earlier turns."""


class Base:
    """A strategy of one call, whose structure is free."""

    calls: int = 1
    structure: Structure | None = None

    def __init__(self, given: Given, *shapes: object) -> None:
        """Take ``shapes``, plain values, into the version: all that shapes the conversations beside the prompt."""
        self.name = given.config.name
        self._prompt, self._marker = given.prompt, given.config.marker
        self.version = prompts.digest(json.dumps([given.config.kind, self._prompt, self._marker, *shapes]))

    def answer(self, text: str) -> str:
        """The final answer in the last call's text; empty where there is none."""
        return final_answer(text, self._marker)


def final_answer(text: str, marker: str | None) -> str:
    r"""What follows the last ``marker``, out of a code fence around it; the whole text where there is no marker.

    >>> final_answer('She writes from Oslo.\nAnswer:\n```json\n{"city": "Oslo"}\n```', "Answer:")
    '{"city": "Oslo"}'
    >>> final_answer("She writes from Oslo.", "Answer:")
    ''
    >>> final_answer(" Oslo ", None)
    'Oslo'
    """
    if marker is None:
        return text.strip()
    before, found, after = text.rpartition(marker)
    if not found:
        return ""
    if before.endswith(_BOLD):  # **Answer:** 42 and **Answer: 42** are habits of many models
        after = after.removeprefix(_BOLD) if after.startswith(_BOLD) else after.rstrip().removesuffix(_BOLD)
    return _out_of_fence(after.strip())


def _out_of_fence(text: str) -> str:
    lines = text.split("\n")
    fences = [number for number, line in enumerate(lines) if line.startswith(_FENCE)]
    if fences == [0, len(lines) - 1] and lines[-1].strip() == _FENCE:
        return "\n".join(lines[1:-1]).strip()
    return text


def read_text(path: Path, what: str) -> str:
    """The text of a file that the YAML names.

    Raises:
        ConfigError: it is not there, or is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what} cannot be read: {error}", where=path, mend="save it as UTF-8") from None
