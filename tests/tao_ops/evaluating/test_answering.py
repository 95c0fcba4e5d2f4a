"""What is wrong with an output, and when two models' paces can be compared."""

import pytest

from tao_ops.config import RepetitionConfig
from tao_ops.evaluating.answering import Pace, flags, seconds_a_token
from tao_ops.records import Completion

LOOP = "the parcel is late and " * 40


def _said(text: str, finish_reason: str = "stop") -> Completion:
    return Completion(text, [], [], finish_reason, 3)


def test_each_output_carries_its_flags() -> None:
    outputs = [_said('{"city": "Oslo"}'), _said(" \n"), _said("Sure, the", "length"), _said(LOOP, "length")]
    assert flags([], outputs) == [(), ("empty",), ("truncated",), ("truncated", "repeated")]


def test_a_tasks_own_rule_says_what_repeats() -> None:
    rule = RepetitionConfig(kind="repetition", name="loops", words=2, share=0.3)
    text = _said("the parcel is late, the parcel is late")
    assert flags([], [text]) == [()] and flags([rule], [text]) == [("repeated",)]


def test_a_token_of_both_arms_is_timed() -> None:
    told = seconds_a_token({"champion": Pace(10.0, 1000, 300), "candidate": Pace(12.0, 1500, 300)})
    assert told == {"champion": pytest.approx(0.01), "candidate": pytest.approx(0.008)}


@pytest.mark.parametrize(
    ("champion", "candidate"),
    [
        (None, Pace(12.0, 1500, 300)),
        (Pace(10.0, 1000, 200), Pace(12.0, 1500, 300)),
        (Pace(0.1, 1000, 300), Pace(0.3, 1000, 300)),
        (Pace(10.0, 1000, 300), Pace(6.0, 500, 300)),
    ],
    ids=["stored", "other items", "too short to tell", "far shorter answers"],
)
def test_paces_that_cannot_be_compared_are_not_told(champion: Pace | None, candidate: Pace) -> None:
    paces = {"candidate": candidate, "control": Pace(1.0, 1, 1)}
    if champion is not None:
        paces["champion"] = champion
    assert seconds_a_token(paces) == {"champion": None, "candidate": None}
