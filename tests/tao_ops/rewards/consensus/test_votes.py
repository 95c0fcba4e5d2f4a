"""How far the votes of a query stand behind an answer."""

from collections.abc import Sequence
from typing import Any

import pytest

from tao_ops.config import ConsensusConfig
from tao_ops.records import Candidate
from tao_ops.rewards.consensus import Answer, json_answer, majority, score


def _scores(*texts: str, trust: Sequence[float] = (), votes: int = 2, **config: Any) -> list[float | None]:
    batch = [Candidate("q", "", text) for text in texts]
    return _values(batch, trust=trust, votes=votes, **config)


def _values(batch: Sequence[Candidate], trust: Sequence[float] = (), **config: Any) -> list[float | None]:
    answers = [json_answer(candidate.text) for candidate in batch]
    told = ConsensusConfig(kind="consensus", name="consensus", **config)
    return [one.value for one in score(batch, config=told, answers=answers, trust=trust)]


def test_agreement_ranks_by_share_and_certainty() -> None:
    three, one = _scores('{"a": "x"}', '{"a":"x"}', '{"a": "x"}', '{"a": "y"}')[2:]
    assert three == pytest.approx(0.75 * majority(3, 1)) and one == 0.0
    # The same share of more votes is surer.
    assert _scores(*["x"] * 6, *["y"] * 2)[0] > _scores(*["x"] * 3, "y")[0]  # type: ignore[operator]


def test_an_object_is_voted_on_key_by_key_and_is_right_only_as_a_whole() -> None:
    both = _scores('{"a": "x", "b": "y"}', '{"b": "y", "a": "z"}', '{"b": "y", "a": "x"}')
    assert both[0] == both[2] == pytest.approx(2 / 3 * majority(2, 1) * majority(3, 0))
    assert both[1] == 0.0  # nobody else says a = z


def test_a_lone_vote_counts_nothing_unless_it_is_enough() -> None:
    assert _scores("x", "y") == [0.0, 0.0]
    assert _scores("x", "y", votes=1) == [0.25, 0.25]


def test_too_few_candidates_are_undecided_and_no_zero() -> None:
    assert _scores("x") == [None]
    assert _scores("x", "") == [None, 0.0]


def test_an_empty_answer_has_no_vote_and_is_worth_nothing() -> None:
    assert _scores("  \n", "", "x", "x") == [0.0, 0.0, majority(2, 0), majority(2, 0)]


def test_a_vote_counts_as_far_as_the_verifiers_trust_it_and_the_yaml_weighs_its_strategy() -> None:
    wrong_majority = ["x", "x", "x", "y", "y"]
    plain, trusted = _scores(*wrong_majority), _scores(*wrong_majority, trust=[0.1, 0.1, 0.1, 1, 1])
    assert plain[0] > plain[3] and trusted[0] < trusted[3]  # type: ignore[operator]
    assert _scores(*wrong_majority, trust=[0, 0, 0, 1, 1])[3] == majority(2, 0)
    batch = [Candidate("q", "", text, "plain" if text == "x" else "planned") for text in wrong_majority]
    weighed = _values(batch, weights={"planned": 3.0})
    assert weighed[0] < weighed[3]  # type: ignore[operator]


def test_one_without_a_vote_is_measured_against_the_others_and_changes_nothing() -> None:
    others = [Candidate("q", "", text) for text in ("x", "x", "x", "y")]
    probe = Candidate("q", "", "x", votes=False)
    assert _values([*others, probe])[:4] == _values(others) and _values([*others, probe])[4] == _values(others)[0]


def test_queries_are_counted_apart() -> None:
    batch = [Candidate(query, "", "x") for query in ("q1", "q1", "q2")]
    assert _values(batch) == [majority(2, 0), majority(2, 0), None]


def test_an_answer_that_was_not_found_is_undecided() -> None:
    batch = [Candidate("q", "", text) for text in ("SELECT 1", "SELECT 1", "SELECT")]
    answers: list[Answer | None] = [{"": "1"}, {"": "1"}, None]
    found = score(batch, config=ConsensusConfig(kind="consensus", name="c"), answers=answers)
    assert [one.value for one in found] == [majority(2, 0), majority(2, 0), None]
    assert found[2].reason == "its answer could not be found"


def test_no_candidates_no_scores() -> None:
    assert _values([]) == []
