"""Items of a benchmark, and the rows that they are made of."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tao_ops.errors import ConfigError
from tao_ops.records import Message

SHAPE = 'one {"item_id": …, "messages": [{"role": …, "content": …}], "reference": {…}} a line'


@dataclass(frozen=True)
class Item:
    """One question: the conversation that ends with a user message, and what the answer should be.

    Attributes:
        item_id: unique within its set.
        messages: without the task's production prompt, which is put before them.
        reference: what the scorer is given; empty where none is known.
        slices: by column, the value whose slice the item is in; only of the columns that the YAML declares.
        question: the bare question, where the last message holds more; the same question in a log is the item, too.
    """

    item_id: str
    messages: tuple[Message, ...]
    reference: Mapping[str, Any]
    slices: Mapping[str, str] = field(default_factory=dict)
    question: str = ""


@dataclass(frozen=True)
class ItemSet:
    """The items of a benchmark; ``version`` is 16 hex digits that change with what is asked or expected."""

    name: str
    version: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Row:
    """What a file says of one item.

    Attributes:
        where: file and line, or the entry's place.
        item_id: as it is written, of any type.
        columns: what a template may name, and slices are taken from.
        messages: as they are written; None where a template makes them.
        reference: as it should be; of any type.
    """

    where: str
    item_id: Any
    columns: Mapping[str, Any]
    reference: Any
    messages: Any = None


def digest(content: bytes, further: Iterable[str] = ()) -> str:
    """First 16 hex digits of the SHA-256 of a file's content, and of what else makes the items where there is more.

    >>> digest(b"") == digest(b"", [""])
    False
    """
    sha = hashlib.sha256(content)
    for part in further:
        sha.update(f"\0{len(part)} {part}".encode())
    return sha.hexdigest()[:16]


def conversation(raw: Any, where: str) -> tuple[Message, ...]:
    """Messages as an item holds them.

    Raises:
        ConfigError: they are no conversation that ends with the user's message.
    """
    if not isinstance(raw, list) or not raw:
        raise ConfigError("'messages' is empty or of a wrong type", where=where, mend=f"write {SHAPE}")
    messages: list[Message] = []
    for message in raw:
        match message:
            case {"role": str(role), "content": str(content)} if content.strip():
                messages.append({"role": role, "content": content})
            case _:
                raise ConfigError(
                    "a message needs a 'role' and a 'content' that is not blank",
                    where=where,
                    mend=f"write {SHAPE}",
                )
    if messages[-1]["role"] != "user":
        raise ConfigError("the last message is not the user's", where=where, mend="end it with role 'user'")
    return tuple(messages)
