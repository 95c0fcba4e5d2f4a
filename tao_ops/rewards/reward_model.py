"""``reward_model``: the number that a sequence-classification model gives a conversation, squashed into [0, 1]."""

import math
from collections.abc import Callable, Sequence

from tao_ops.records import Candidate, Message
from tao_ops.rewards.base import Score

Ask = Callable[[Sequence[Sequence[Message]]], list[float | str]]
"""Gives whole conversations, answers last, one number each, unbounded; or the reason of none."""

NO_NUMBER = "not a number"


def score(batch: Sequence[Candidate], *, ask: Ask) -> list[Score]:
    """The logistic function of each candidate's number: the chance, by Bradley and Terry's model, that it is preferred
    to a response whose number is 0. Equal conversations are asked about once.

    >>> batch = [Candidate("q", "2 + 2?", text) for text in ("4", "5")]
    >>> found = score(batch, ask=lambda asked: [2.0 if said[-1]["content"] == "4" else -2.0 for said in asked])
    >>> [round(one.value, 3) for one in found]
    [0.881, 0.119]
    """
    keys = [(candidate.context, candidate.query, candidate.text) for candidate in batch]
    asked = {key: conversation(candidate) for key, candidate in zip(keys, batch, strict=True)}
    found = dict(zip(asked, ask(list(asked.values())) if asked else [], strict=True))
    return [_score(found[key]) for key in keys]


def conversation(candidate: Candidate) -> list[Message]:
    """What the model is given, in training and in scoring alike: one message of the user, and the response."""
    query = f"{candidate.context}\n\n{candidate.query}" if candidate.context else candidate.query
    return [{"role": "user", "content": _text(query)}, {"role": "assistant", "content": _text(candidate.text)}]


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode()  # half a character is nothing that a tokenizer takes


def _score(found: float | str) -> Score:
    if isinstance(found, str):
        return Score(None, found)
    if not math.isfinite(found):
        return Score(None, NO_NUMBER)
    small = math.exp(-abs(found))  # which does not overflow
    return Score(1.0 / (1.0 + small) if found >= 0.0 else small / (1.0 + small))
