"""A reward model's numbers become scores; what is no number becomes none."""

import doctest
import math
from collections.abc import Sequence

import pytest

from tao_ops.records import Candidate, Message
from tao_ops.rewards import reward_model
from tao_ops.rewards.base import Score


def _score(*numbers: float | str) -> list[Score]:
    batch = [Candidate("q", "2 + 2?", str(i)) for i in range(len(numbers))]
    return reward_model.score(batch, ask=lambda asked: list(numbers))


def test_the_examples_hold() -> None:
    assert doctest.testmod(reward_model).failed == 0


def test_a_number_is_squashed() -> None:
    values = [one.value for one in _score(0.0, 1.0, -1.0, 1000.0, -1000.0, 1e308)]
    assert values == pytest.approx([0.5, 0.7310585786, 0.2689414214, 1.0, 0.0, 1.0])


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_no_score(number: float) -> None:
    assert _score(1.0, number)[1] == Score(None, "not a number")


def test_a_reason_is_passed_on() -> None:
    assert _score("too long for the reward model") == [Score(None, "too long for the reward model")]


def test_the_model_is_given_whole_conversations_and_equal_ones_once() -> None:
    given: list[Sequence[Message]] = []

    def ask(asked: Sequence[Sequence[Message]]) -> list[float | str]:
        given.extend(asked)
        return [float(i) for i in range(len(asked))]

    batch = [
        Candidate("q", "and 3?", "3", context="1?\n\n1"),
        Candidate("q", "and 3?", "3", context="1?\n\n1", strategy="other"),
        Candidate("r", "and 3?", "\ud800"),
    ]
    found = reward_model.score(batch, ask=ask)
    assert [one.value for one in found[:2]] == [0.5, 0.5] and found[2].value != 0.5
    assert given == [
        [{"role": "user", "content": "1?\n\n1\n\nand 3?"}, {"role": "assistant", "content": "3"}],
        [{"role": "user", "content": "and 3?"}, {"role": "assistant", "content": "?"}],
    ]


def test_nothing_to_score_is_nothing_asked() -> None:
    assert reward_model.score([], ask=lambda asked: pytest.fail("asked")) == []
