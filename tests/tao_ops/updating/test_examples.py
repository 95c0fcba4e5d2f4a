"""What the trainer is given, under the production prompt."""

import pytest

from tao_ops.backends.trl_trainer.job import Best, Example, Group, Judged, Preference, Question
from tao_ops.config import Method, UpdateConfig
from tao_ops.updating.examples import examples
from tao_ops.updating.selection import Row, select
from tests.tao_ops.updating.test_selection import scored

MESSAGES = [{"role": "system", "content": "Read."}, {"role": "user", "content": "one"}]


def _made(method: Method, copies: int = 1) -> list[Example]:
    pool = [("good", 0.9), ("bad", 0.1), ("worse", 0.0)]
    rows: list[Row] = select(method, scored({"one": pool}), UpdateConfig(group=4, pairs=2))
    return examples(method, [{**row, "copies": copies} for row in rows], {"tickets": "Read."}, {"tickets": 9})


@pytest.mark.parametrize(
    ("method", "made"),
    [
        (Method.RAFT, [Best(MESSAGES, "good", 1.0)]),
        (Method.DPO, [Preference(MESSAGES, "good", "bad"), Preference(MESSAGES, "good", "worse")]),
        (
            Method.KTO,
            [Judged(MESSAGES, "good", True), Judged(MESSAGES, "bad", False), Judged(MESSAGES, "worse", False)],
        ),
        (Method.GRPO_OFFLINE, [Group(MESSAGES, ["good", "bad", "worse", "good"], [0.9, 0.1, 0.0, 0.9])]),
        (Method.GRPO, [Question(MESSAGES, "tickets", "one", 9)]),
    ],
)
def test_each_method_gets_its_kind_and_again_as_often_as_it_is_to_be_repeated(
    method: Method, made: list[Example]
) -> None:
    assert _made(method) == made
    assert _made(method, copies=3) == made * 3
    assert examples(method, [], {}, {}) == []
