"""Several scores become one reward."""

from itertools import product

import pytest

from tao_ops.config import (
    ConsensusConfig,
    GroundingConfig,
    JsonSchemaConfig,
    JudgeConfig,
    LabelConfig,
    OwnScorerConfig,
    RefusalConfig,
    ScorerConfig,
)
from tao_ops.rewards.combine import combine, verified, vetoed

CONFIGS: tuple[ScorerConfig, ...] = (
    JsonSchemaConfig(kind="json_schema", name="json_schema", keys=("a",)),
    GroundingConfig(kind="grounding", name="grounding", keys=("a",)),
    ConsensusConfig(kind="consensus", name="consensus"),
)


def test_a_verifier_below_its_least_vetoes() -> None:
    assert vetoed(CONFIGS, {"json_schema": 0.0, "grounding": 1.0}, ())
    assert vetoed(CONFIGS, {"json_schema": 1.0, "grounding": 0.67}, ())
    assert not vetoed(CONFIGS, {"json_schema": 1.0, "grounding": 1.0, "consensus": 0.0}, ())
    assert not vetoed(CONFIGS, {}, ())  # undecided is no zero
    mild = (GroundingConfig(kind="grounding", name="grounding", keys=("a",), least=0.5),)
    assert not vetoed(mild, {"grounding": 0.67}, ())


def test_a_verifier_of_ones_own_vetoes_too() -> None:
    strict, mild = (
        OwnScorerConfig.model_validate({"kind": "own", "name": "mine", "file": "m.py", "verifier": verifier})
        for verifier in (True, False)
    )
    assert vetoed([strict], {"mine": 0.9}, ()) and not vetoed([mild], {"mine": 0.0}, ())


def test_a_flag_rejects_only_where_the_yaml_says_so() -> None:
    for rejects in (True, False):
        configs = (RefusalConfig(kind="refusal", name="refusal", rejects=rejects),)
        assert vetoed(configs, {}, ("refusal",)) is rejects


def test_consensus_ranks_what_verifiers_let_pass() -> None:
    rewards = [combine(CONFIGS, {"json_schema": 1.0, "grounding": 1.0, "consensus": s}) for s in (0.0, 0.5, 1.0)]
    assert rewards == [0.5, 0.75, 1.0]


def test_an_undecided_soft_scorer_counts_as_neither() -> None:
    assert combine(CONFIGS, {"json_schema": 1.0, "grounding": 1.0}) == 0.75
    judged = (*CONFIGS, JudgeConfig(kind="judge", name="judge", rubric="r.txt"))
    assert combine(judged, {"json_schema": 1.0, "grounding": 1.0, "judge": 1.0}) == pytest.approx(0.875)
    assert combine(CONFIGS, {}) is None


def test_the_reward_stays_within_its_bounds_and_never_falls_with_a_score() -> None:
    shares = (0.0, 0.3, 1.0)
    for scores in product(shares, repeat=3):
        told = dict(zip(("json_schema", "grounding", "consensus"), scores, strict=True))
        value = combine(CONFIGS, told)
        assert value is not None and 0.0 <= value <= 1.0
        for name in told:
            assert (combine(CONFIGS, {**told, name: 1.0}) or 0.0) >= value


def test_a_verifier_that_decides_is_the_truth_where_it_has_a_verdict() -> None:
    configs = (*CONFIGS, LabelConfig(kind="label", name="label", labels=("x",), decides=True, least=0.0))
    assert combine(configs, {"json_schema": 1.0, "consensus": 1.0, "label": 0.0}) == 0.0
    assert combine(configs, {"json_schema": 1.0, "grounding": 1.0, "consensus": 0.0}) == 0.5


def test_a_barred_scorer_is_left_out() -> None:
    told = {"json_schema": 1.0, "grounding": 1.0, "consensus": 0.2}
    assert combine(CONFIGS, told, barred={"consensus"}) == 1.0
    assert combine(CONFIGS, {"consensus": 0.2}, barred={"consensus"}) is None


def test_what_verifiers_say_alone() -> None:
    assert verified(CONFIGS, {"json_schema": 1.0, "grounding": 0.5, "consensus": 0.1}) == 0.5
    assert verified(CONFIGS, {"consensus": 0.1}) == 1.0
