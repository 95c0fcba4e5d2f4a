"""What is wrong with an output."""

from tao_ops.config import RepetitionConfig
from tao_ops.evaluating.answering import flags
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
