"""Which tokens write a word, and how likely they are together."""

import doctest
import math

import pytest

from tao_ops.backends import next_word
from tao_ops.backends.next_word import word_logprobs


def test_the_examples_hold() -> None:
    assert doctest.testmod(next_word).failed == 0


@pytest.mark.parametrize("token", ["Yes", " Yes", "yes", "YES", "\u2581Yes", "Yes\n", " yEs "])
def test_a_word_is_known_however_it_is_written(token: str) -> None:
    assert word_logprobs([(token, -0.5)], ["Yes", "No"]) == {"Yes": pytest.approx(-0.5)}


@pytest.mark.parametrize("token", ["Yesterday", "Ye", "", "  ", "Y", "N", "Nope", "**"])
def test_another_token_is_not(token: str) -> None:
    assert word_logprobs([(token, -0.5)], ["Yes", "No"]) == {}


def test_all_ways_to_write_a_word_count_together() -> None:
    ways = [("Yes", math.log(0.3)), (" yes", math.log(0.2)), ("No", math.log(0.1)), ("The", math.log(0.3))]
    found = word_logprobs(ways, ["Yes", "No"])
    assert {word: math.exp(p) for word, p in found.items()} == pytest.approx({"Yes": 0.5, "No": 0.1})


def test_a_single_letter_is_not_the_article() -> None:
    assert word_logprobs([("a", -0.1), (" A", -2.0)], ["A", "B"]) == {"A": pytest.approx(-2.0)}


@pytest.mark.parametrize(("logprob", "found"), [(math.nan, {}), (-math.inf, {}), (3.0, {"Yes": 0.0})])
def test_what_is_no_log_probability_is_no_certainty(logprob: float, found: dict[str, float]) -> None:
    assert word_logprobs([("Yes", logprob)], ["Yes"]) == found
