"""When a query is settled."""

import pytest

from tao_ops.exploration.policy import settled

A, B, C = "a", "b", "c"


@pytest.mark.parametrize(
    ("answers", "is_settled"),
    [
        ([], False),
        ([A, A], False),  # P = 7/8
        ([A, A, A], True),  # P = 15/16
        ([A, A, A, B], False),  # P = 0.8125
        ([A] * 5 + [B], True),  # P = 0.9375
        ([A] * 5 + [B, C], True),  # against the next one alone
        (["", "", ""], False),  # no answer is none
    ],
)
def test_the_leading_answer_must_be_the_majority_with_the_given_probability(
    answers: list[str], is_settled: bool
) -> None:
    assert settled(answers, [1.0] * len(answers), 0.9) is is_settled


def test_an_answer_that_a_verifier_objects_to_has_no_vote() -> None:
    assert not settled([A, A, A], [0.0, 0.5, 0.99], 0.9)
    assert settled([A, B, A, B, A], [1.0, 0.0, 1.0, 0.5, 1.0], 0.9)
