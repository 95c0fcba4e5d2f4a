"""Verifiers veto, consensus ranks."""

from itertools import product

from tao_ops.rewards.combine import combine


def test_one_verifier_that_says_no_is_a_veto() -> None:
    assert combine({"strict_json": 0.0, "grounding": 1.0, "consensus": 1.0}) == 0.0
    assert combine({"strict_json": 1.0, "grounding": 0.0, "consensus": 1.0}) == 0.0


def test_consensus_ranks_what_passed_and_vetoes_nothing() -> None:
    rewards = [combine({"strict_json": 1.0, "consensus": share}) for share in (0.0, 0.5, 1.0)]
    assert rewards == [0.5, 0.75, 1.0]


def test_a_reward_is_never_outside_zero_and_one() -> None:
    shares = (0.0, 1 / 3, 1.0)
    rewards = [
        combine(dict(zip(("strict_json", "grounding", "consensus"), s, strict=True))) for s in product(shares, repeat=3)
    ]
    assert all(0.0 <= reward <= 1.0 for reward in rewards)
    assert min(rewards) == 0.0 and max(rewards) == 1.0
