"""Flags mark what is wrong with a response, and nothing else."""

import doctest
from typing import Any

import pytest

from tao_ops.config import JsonSchemaConfig, LanguageConfig, LengthConfig, RefusalConfig, RepetitionConfig
from tao_ops.records import Candidate
from tao_ops.rewards import flags
from tao_ops.rewards.flags import forms, language, length, refusal, repetition, words

EVERY = [
    LengthConfig(kind="length", name="length", least=1, most=100, rejects=True),
    RepetitionConfig(kind="repetition", name="repetition", rejects=True),
    RefusalConfig(kind="refusal", name="refusal"),
    LanguageConfig(kind="language", name="language"),
    JsonSchemaConfig(kind="json_schema", name="json_schema", keys=("a",)),
]


def _mark(*texts: str, query: str = "Where is my parcel, and when will it arrive?") -> list[tuple[str, ...]]:
    return flags.mark(EVERY, [Candidate("q", query, text) for text in texts])


def test_a_response_carries_the_names_of_its_flags_and_a_good_one_none() -> None:
    assert _mark(
        "It is on its way and will arrive on Monday.",
        "I'm sorry, but I can't help with that.",
        "Ihr Paket ist unterwegs und wird am Montag zugestellt.",
        "It is late. " * 60,
        "",
        '{"customer": "Anna", "product": "rain jacket"}',
        "lost_or_stolen_card",
    ) == [(), ("refusal",), ("language",), ("length", "repetition"), ("length",), (), ()]


def test_those_that_reject_are_named() -> None:
    assert flags.rejects(EVERY) == {"length", "repetition"}
    assert flags.mark([], [Candidate("q", "", "x")]) == [()]
    assert flags.mark(EVERY, []) == []


@pytest.mark.parametrize(
    "text",
    [
        "a" * 10**6,
        "\ud800" * 5000,
        "我" * 10**5,
        "\n" * 10**6,
        "[" * 10**5,
        "sorry, " * 10**5,
        "\x00\udfff a",
        "{" * 10,
    ],
)
def test_no_text_is_an_error(text: str) -> None:
    (marks,) = flags.mark([*EVERY, LengthConfig(kind="length", name="any")], [Candidate("q", text, text)])
    assert len(text) < 100 or "length" in marks


@pytest.mark.parametrize("module", [flags, forms, language, length, refusal, repetition, words])
def test_examples_hold(module: Any) -> None:
    done = doctest.testmod(module)
    assert done.attempted and not done.failed
