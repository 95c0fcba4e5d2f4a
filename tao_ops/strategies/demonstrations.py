"""``demonstrations``: worked examples as chat turns before the query (few-shot prompting, arXiv 2005.14165)."""

import json
import random
from pathlib import Path

from tao_ops import prompts
from tao_ops.errors import ConfigError
from tao_ops.records import Message, Prompt
from tao_ops.strategies import Ask

ORDERS = 6
"""Orders of the examples that a query's samples are spread over: the order sways a small model (arXiv 2104.08786).

All queries share them, so the engine computes each order's prefix once.
"""


class Demonstrations:
    """The production prompt with worked examples, in shuffled orders."""

    name = "demonstrations"

    def __init__(self, prompt: str, file: Path, *, seed: int) -> None:
        self._prompt = prompt
        examples = load_examples(file)
        self.version = prompts.digest(prompt + file.read_text(encoding="utf-8"))
        shuffle = random.Random(seed)
        self._orders = [shuffle.sample(examples, len(examples)) for _ in range(ORDERS)]

    def asks(self, prompt: Prompt, samples: int) -> list[Ask]:
        """One conversation per order, the samples spread evenly."""
        shares = [samples // ORDERS + (i < samples % ORDERS) for i in range(ORDERS)]
        return [
            Ask(prompts.with_demonstrations(self._prompt, order, prompt.messages), share)
            for order, share in zip(self._orders, shares, strict=True)
            if share
        ]


def load_examples(file: Path) -> list[list[Message]]:
    """Worked examples: JSON lines of ``{"messages": [{"role": "user", …}, {"role": "assistant", …}]}``.

    Raises:
        ConfigError: a line is not an example, or there is none; the message names file and line.
    """
    examples: list[list[Message]] = []
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"worked examples cannot be read: {error}", where=file, mend="save them as UTF-8") from None
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            examples.append(_example(line, f"{file}:{number}"))
    if not examples:
        raise ConfigError("no worked example", where=file, mend="write at least one line of messages")
    return examples


def _example(line: str, where: str) -> list[Message]:
    mend = 'write {"messages": [{"role": "user", "content": …}, {"role": "assistant", "content": …}]}'
    try:
        messages = json.loads(line)["messages"]
        example: list[Message] = [{"role": str(m["role"]), "content": str(m["content"])} for m in messages]
    except (ValueError, KeyError, TypeError):
        raise ConfigError("not a worked example", where=where, mend=mend) from None
    if len(example) < 2 or example[0]["role"] != "user" or example[-1]["role"] != "assistant":
        raise ConfigError("a worked example goes from a user to an assistant", where=where, mend=mend)
    return example
