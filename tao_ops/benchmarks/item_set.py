"""Item sets: fixed questions with their references, named by the digest of their content."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tao_ops.errors import ConfigError
from tao_ops.records import Message

_SHAPE = 'one {"item_id": …, "messages": [{"role": …, "content": …}], "reference": {…}} a line'


@dataclass(frozen=True)
class Item:
    """One question: the conversation that ends with a user message, and what the answer should be."""

    item_id: str
    messages: tuple[Message, ...]
    reference: Mapping[str, Any]


@dataclass(frozen=True)
class ItemSet:
    """The items of a benchmark; ``version`` is the first 16 hex digits of the file's SHA-256."""

    name: str
    version: str
    items: tuple[Item, ...]


def load_item_set(folder: Path, name: str) -> ItemSet:
    """Read ``<folder>/items.jsonl``.

    Raises:
        ConfigError: the file is missing or empty, or a line is no item; the message names the line.
    """
    path = folder / "items.jsonl"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"benchmark {name} cannot be read: {error.strerror or error}",
            where=path,
            mend="mend the benchmark's 'path'",
        ) from None
    items: dict[str, Item] = {}
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        item = _item(line, f"{path}:{number}")
        if item.item_id in items:
            raise ConfigError(
                f"item_id {item.item_id!r} is there twice",
                where=f"{path}:{number}",
                mend="give each item its own",
            )
        items[item.item_id] = item
    if not items:
        raise ConfigError(f"benchmark {name} has no items", where=path, mend=f"write {_SHAPE}")
    return ItemSet(name, hashlib.sha256(content).hexdigest()[:16], tuple(items.values()))


def _item(line: bytes, where: str) -> Item:
    try:
        raw = json.loads(line.decode("utf-8"))
    except ValueError as error:
        raise ConfigError(f"not JSON in UTF-8: {error}", where=where, mend=f"write {_SHAPE}") from None
    if not isinstance(raw, dict):
        raise ConfigError("not a JSON object", where=where, mend=f"write {_SHAPE}")
    for key, kind in (("item_id", str), ("messages", list), ("reference", dict)):
        if key not in raw:
            raise ConfigError(f"an item without {key!r}", where=where, mend=f"write {_SHAPE}")
        if not isinstance(raw[key], kind) or not raw[key]:
            raise ConfigError(f"{key!r} is empty or of a wrong type", where=where, mend=f"write {_SHAPE}")
    return Item(raw["item_id"], _messages(raw["messages"], where), raw["reference"])


def _messages(raw: list[Any], where: str) -> tuple[Message, ...]:
    messages: list[Message] = []
    for message in raw:
        match message:
            case {"role": str(role), "content": str(content)} if content.strip():
                messages.append({"role": role, "content": content})
            case _:
                raise ConfigError(
                    "a message needs a 'role' and a 'content' that is not blank",
                    where=where,
                    mend=f"write {_SHAPE}",
                )
    if messages[-1]["role"] != "user":
        raise ConfigError("the last message is not the user's", where=where, mend="end it with role 'user'")
    return tuple(messages)
