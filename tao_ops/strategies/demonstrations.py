"""``demonstrations``: worked examples as chat turns before the query (few-shot prompting, arXiv 2005.14165)."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

from tao_ops import prompts
from tao_ops.config.strategies import ORDERS
from tao_ops.errors import ConfigError
from tao_ops.records import Message, Prompt
from tao_ops.strategies.base import Base, Given, read_text

Example = list[Message]
"""A conversation from a user to an assistant."""


class Demonstrations(Base):
    """The production prompt with worked examples, in shuffled orders.

    The examples are written by hand, or they are the model's own good responses of earlier turns (STaR,
    arXiv 2203.14465; DSPy's bootstrapped few-shot, arXiv 2310.03714), or both. Where more of the latter are given
    than a conversation takes, each order draws its own.
    """

    def __init__(self, given: Given) -> None:
        config = given.config
        written = load_examples(given.flywheel.file(config.file)) if config.file is not None else []
        found = _others(given.bootstrapped, written) if config.bootstrap is not None else []
        drawn = min(config.bootstrap.examples, len(found)) if config.bootstrap is not None else 0
        super().__init__(given, written, found, drawn)
        shuffle = random.Random(given.seed)
        self._orders: list[list[Example]] = []
        for _ in range(ORDERS):
            examples = [*written, *shuffle.sample(found, drawn)]
            self._orders.append(shuffle.sample(examples, len(examples)))

    @property
    def examples(self) -> int:
        """How many stand before a query."""
        return len(self._orders[0])

    def conversation(self, prompt: Prompt, sample: int, said: Sequence[str]) -> list[Message]:
        """The examples in the order of this sample, without one whose query is this query, then its messages."""
        order = [example for example in self._orders[sample % ORDERS] if _query(example) != prompt.text]
        return prompts.with_demonstrations(self._prompt, order, prompt.messages)


def _others(examples: Sequence[Sequence[Message]], written: Sequence[Example]) -> list[Example]:
    """One example per query, none of a query that is ``written``, in an order of their own."""
    known = {_query(example) for example in written}
    found: dict[str, Example] = {}
    # Sorted, so that what a seed draws does not hang on the order in which a table gives its rows.
    for example in sorted((list(example) for example in examples), key=json.dumps):
        if _query(example) not in known:
            found.setdefault(_query(example), example)
    return list(found.values())


def _query(example: Example) -> str:
    return next(message["content"] for message in reversed(example) if message["role"] == "user")


def load_examples(file: Path) -> list[Example]:
    """Worked examples: JSON lines of ``{"messages": [{"role": "user", …}, {"role": "assistant", …}]}``.

    Raises:
        ConfigError: a line is not an example, or there is none; the message names file and line.
    """
    # Only "\n" ends a line: a message may hold line breaks of Unicode.
    lines = read_text(file, "the file of worked examples").split("\n")
    examples = [_example(line, f"{file}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not examples:
        raise ConfigError("no worked example", where=file, mend="write at least one line of messages")
    return examples


def _example(line: str, where: str) -> Example:
    mend = 'write {"messages": [{"role": "user", "content": …}, {"role": "assistant", "content": …}]}'
    try:
        messages = json.loads(line)["messages"]
        example: Example = [{"role": str(m["role"]), "content": str(m["content"])} for m in messages]
    except (ValueError, KeyError, TypeError):
        raise ConfigError("not a worked example", where=where, mend=mend) from None
    if len(example) < 2 or example[0]["role"] != "user" or example[-1]["role"] != "assistant":
        raise ConfigError("a worked example goes from a user to an assistant", where=where, mend=mend)
    return example
