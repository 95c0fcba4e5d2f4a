"""Where training stops, and which checkpoint is the best."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tao_ops.backends.trl_trainer.limits import Measured, best, crossed
from tao_ops.config import LimitsConfig

START = Measured(step=0, reward=0.5, kl=0.0, entropy=0.3, length=10.0, n=4, rewards=(0.5,) * 4)
LIMITS = LimitsConfig(kl=2.0, entropy=0.01, length=2.0, reward=0.1)


def _at(step: int, rewards: Sequence[float | None]) -> Measured:
    known = [one for one in rewards if one is not None]
    mean = sum(known) / len(known) if known else None
    return Measured(step=step, reward=mean, kl=0.1, entropy=0.3, length=10.0, n=len(rewards), rewards=tuple(rewards))


@pytest.mark.parametrize(
    ("now", "why"),
    [
        ({"kl": 2.01}, "the divergence from the champion, 2.010 nats per token, is above update.watch.limits.kl"),
        ({"entropy": 0.009}, "the entropy, 0.00900 nats, is below update.watch.limits.entropy"),
        ({"length": 30.1}, r"answers of 30.1 tokens are over update.watch.limits.length times 15.0"),
        ({"reward": 0.39}, "the reward fell from 0.500 to 0.390, update.watch.limits.reward allows less"),
        ({"kl": math.nan}, "the divergence, nan, or the entropy, 0.3, is no number"),
        ({"entropy": math.nan}, "is no number"),
    ],
)
def test_each_limit_stops_and_says_why(now: dict[str, float], why: str) -> None:
    told = crossed(LIMITS, START, replace(START, step=3, **now), trained_length=15.0)
    assert told is not None and why in told


@pytest.mark.parametrize(
    "now", [{"kl": 2.0}, {"entropy": 0.01}, {"length": 30.0}, {"reward": 0.41}, {"reward": None}, {"reward": 1.0}]
)
def test_up_to_a_limit_training_goes_on(now: dict[str, float | None]) -> None:
    assert crossed(LIMITS, START, replace(START, step=3, **now), trained_length=15.0) is None  # type: ignore[arg-type]


def test_a_limit_that_is_none_never_stops() -> None:
    ruined = Measured(step=3, reward=0.0, kl=99.0, entropy=0.0, length=999.0, n=4)
    none = LimitsConfig(kl=None, entropy=None, length=None, reward=None)
    assert crossed(none, START, ruined, trained_length=1.0) is None
    unjudged = replace(START, reward=None)
    assert crossed(LIMITS, unjudged, replace(START, step=3, reward=0.0), trained_length=1.0) is None


def test_lengths_are_compared_with_the_starting_model_where_its_answers_are_longer_than_the_trained_ones() -> None:
    assert crossed(LIMITS, START, replace(START, length=20.0), trained_length=1.0) is None
    assert "times 10.0" in (crossed(LIMITS, START, replace(START, length=20.1), trained_length=1.0) or "")


def test_a_clearly_better_checkpoint_is_kept_and_a_little_better_one_gives_way_to_a_later_one() -> None:
    good, fair, bad = _at(2, [1.0, 1.0, 1.0, 0.9]), _at(4, [1.0, 1.0, 0.6, 1.0]), _at(6, [0.1, 0.2, 0.0, 0.1])
    # 0.975 and 0.9: the differences 0, 0, 0.4, -0.1 have a mean of 0.075, whose standard error is 0.111.
    assert best([good, fair, bad]) is fair
    assert best([good, bad]) is good
    assert best([bad, fair, good]) is fair  # the order they come in is no matter


def test_equal_rewards_keep_the_latest() -> None:
    same = [_at(step, [0.5, 0.5, 1.0]) for step in (2, 4, 6)]
    assert best(same) is same[-1]
    # Evenly worse by ever so little: no error at all in the difference, so the better one stays.
    assert best([same[0], _at(4, [0.4, 0.4, 0.9])]) is same[0]


def test_where_nothing_could_be_judged_the_latest_is_kept() -> None:
    none = [_at(step, [None, None]) for step in (2, 4)]
    assert best(none) is none[-1]
    assert best([_at(2, [0.1, 0.2]), _at(4, [None, None])]).step == 2


def test_one_query_has_no_error_so_the_highest_is_kept_and_of_equals_the_latest() -> None:
    assert best([_at(2, [0.9]), _at(4, [0.8])]).step == 2
    assert best([_at(2, [0.9]), _at(4, [0.9])]).step == 4
    # Judged at one of its queries only, each.
    assert best([_at(2, [0.9, None]), _at(4, [None, 0.8])]).step == 2


def test_it_is_said_as_a_sentence() -> None:
    assert START.sentence() == (
        "holdout (4 queries) after step 0: reward 0.500, divergence 0.000 nats, entropy 0.300 nats, 10.0 tokens"
    )
    assert "no reward," in _at(2, [None]).sentence()
    assert Measured(**START.as_dict()) == START  # type: ignore[arg-type]
