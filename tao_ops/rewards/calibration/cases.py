"""Scored responses, labelled or not, and the file of labelled ones that a user writes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tao_ops.errors import ConfigError
from tao_ops.records import Message

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Source = Literal["anchor", "feedback", "corrected", "verified", ""]

WEIGHTS: Mapping[str, float] = {"anchor": 1.0, "verified": 1.0, "feedback": 0.5, "corrected": 0.5}
"""What a label weighs by its source: a thumb is pressed by mistake, or for the tone, more often than an anchor errs.
So is a corrected answer: a user's word that nobody looked at."""

_ROLES = ("user", "assistant")
_DROPPED = ("system", "developer")
"""Logs lose these messages too: a task's own prompt is put in."""
_MOST = 1000
"""Most times that one response of an anchor counts."""


@dataclass(frozen=True)
class Case:
    """One scored response.

    Attributes:
        query_id: of the query that it answers; the cases of one query are never split.
        scores: in [0, 1], of the scorers that decided; higher is better.
        label: 1 right, 0 wrong, None unknown.
        source: where the label is from; empty without one.
    """

    query_id: str
    scores: Mapping[str, float]
    label: float | None = None
    source: Source = ""

    def __post_init__(self) -> None:
        for name, value in self.scores.items():
            if not 0.0 <= value <= 1.0:  # not-a-number fails this, too
                raise ValueError(f"{name}: {value} is no score from 0 to 1")
        if self.label not in (None, 0, 1):
            raise ValueError(f"{self.label} is no label: 1, 0 or None")
        if (self.label is None) != (self.source == ""):
            raise ValueError("a label has a source, and only a label has one")


@dataclass(frozen=True)
class LabelledResponse:
    """A response of an anchor, whether it is right, and how often it was given, which is what consensus counts."""

    text: str
    correct: bool
    count: int = 1


@dataclass(frozen=True)
class Anchor:
    """A conversation that ends with a user's message, and responses to it that somebody has labelled."""

    messages: tuple[Message, ...]
    responses: tuple[LabelledResponse, ...]
    reference: str | None = None


def matrix(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> "NDArray[np.float64]":
    """Scores as an array of shape (rows, names); not-a-number where a scorer did not decide."""
    import numpy as np

    flat = np.array([row.get(name, np.nan) for row in rows for name in names], dtype=np.float64)
    return flat.reshape(len(rows), len(names))


def read_anchors(path: Path) -> list[Anchor]:
    """Anchors of a file of JSON lines; empty lines do not count.

    A line is ``{"messages": [...], "responses": [{"text": "...", "correct": true}, ...]}``, or, with one response,
    ``{"messages": [...], "response": "...", "correct": true}``. Either may have a ``reference``, a right answer; a
    response of a list may have a ``count``.

    Raises:
        ConfigError: the file cannot be read, has no anchor, or a line is none; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the anchors cannot be read: {error}", where=path) from None
    anchors = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                anchors.append(_anchor(json.loads(line)))
            except json.JSONDecodeError as error:
                raise ConfigError(f"not JSON: {error.msg}", where=f"{path}:{number}") from None
            except (ValueError, RecursionError) as error:
                raise ConfigError(str(error), where=f"{path}:{number}") from None
    if not anchors:
        mend = 'write lines such as {"messages": [...], "responses": [{"text": "...", "correct": true}]}'
        raise ConfigError("there is no anchor in the file", where=path, mend=mend)
    return anchors


def _anchor(raw: Any) -> Anchor:
    single = isinstance(raw, dict) and "responses" not in raw
    needed = ("messages", "response", "correct") if single else ("messages", "responses")
    raw = _object(raw, "an anchor", needed, ("reference",))
    reference = raw.get("reference")
    if reference is not None and not isinstance(reference, str):
        raise ValueError("'reference' is no text")
    responses = [{"text": raw["response"], "correct": raw["correct"]}] if single else raw["responses"]
    if not isinstance(responses, list) or not responses:
        raise ValueError("'responses' is no list with something in it")
    return Anchor(_messages(raw["messages"]), tuple(_labelled(one) for one in responses), reference)


def _messages(raw: Any) -> tuple[Message, ...]:
    if not isinstance(raw, list):
        raise ValueError("'messages' is no list")
    messages: list[Message] = []
    for each in raw:
        one = _object(each, "a message", ("role", "content"))
        if one["role"] not in (*_ROLES, *_DROPPED):
            raise ValueError(f"{one['role']!r} is no role: {', '.join(_ROLES)}")
        if not isinstance(one["content"], str):
            raise ValueError("the 'content' of a message is no text")
        if one["role"] in _ROLES:
            messages.append({"role": one["role"], "content": one["content"]})
    if not messages or messages[-1]["role"] != "user" or not messages[-1]["content"].strip():
        raise ValueError("the last of the 'messages' is not a user's")
    return tuple(messages)


def _labelled(raw: Any) -> LabelledResponse:
    raw = _object(raw, "a response", ("text", "correct"), ("count",))
    if not isinstance(raw["text"], str):
        raise ValueError("a response is no text")
    if not isinstance(raw["correct"], bool):
        raise ValueError("'correct' is neither true nor false: label the response")
    count = raw.get("count", 1)
    if type(count) is not int or not 1 <= count <= _MOST:
        raise ValueError(f"'count' is no whole number from 1 to {_MOST}")
    return LabelledResponse(raw["text"], raw["correct"], count)


def _object(raw: Any, what: str, needed: Sequence[str], further: Sequence[str] = ()) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ValueError(f"{what} is no JSON object")
    if missing := [key for key in needed if key not in raw]:
        raise ValueError(f"{what} has no {missing[0]!r}")
    if unknown := [key for key in raw if key not in (*needed, *further)]:
        raise ValueError(f"{what} has an unknown key {unknown[0]!r}")
    return raw
