"""The share of a query's candidates that say the same."""

import pytest

from tao_ops.records import Candidate
from tao_ops.rewards.consensus import parts, score


def _scores(*texts: str, votes: int = 2) -> list[float]:
    return score([Candidate("q", "", text) for text in texts], votes=votes)


def test_agreement_ranks() -> None:
    assert _scores('{"a": "x"}', '{"a":"x"}', '{"a": "x"}', '{"a": "y"}') == [0.75, 0.75, 0.75, 0.0]


def test_an_object_is_voted_on_key_by_key() -> None:
    assert _scores('{"a": "x", "b": "y"}', '{"b": "y", "a": "z"}') == [0.5, 0.5]


def test_a_lone_vote_counts_nothing_unless_it_is_enough() -> None:
    assert _scores("x", "y") == [0.0, 0.0]
    assert _scores("x", "y", votes=1) == [0.5, 0.5]


def test_texts_are_compared_with_single_blanks() -> None:
    assert _scores("it is  late", "it is late\n") == [1.0, 1.0]


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_answer_has_no_votes_but_counts_as_a_candidate(text: str) -> None:
    assert _scores(text, text, "x", "x") == [0.0, 0.0, 0.5, 0.5]


def test_queries_are_counted_apart() -> None:
    batch = [Candidate(query, "", "x") for query in ("q1", "q1", "q2")]
    assert score(batch) == [1.0, 1.0, 0.0]


def test_values_of_other_types_are_other_votes() -> None:
    assert parts('{"n": 1}') != parts('{"n": "1"}') != parts('{"n": true}')
    assert parts('{"n": {"b": 1, "a": 2}}') == parts('{"n": {"a": 2, "b": 1}}')


def test_no_candidates_no_scores() -> None:
    assert score([]) == []
