"""The scorers that a task's YAML names."""

from tao_ops.config import ConsensusConfig, GroundingConfig, StrictJsonConfig
from tao_ops.records import Candidate
from tao_ops.rewards import build, score


def test_each_configuration_gives_its_scorer_with_its_settings() -> None:
    scorers = build(
        [
            StrictJsonConfig(name="strict_json", keys=("city",)),
            GroundingConfig(name="grounding", keys=("city",)),
            ConsensusConfig(name="consensus", votes=1),
        ]
    )
    batch = [Candidate("q", "From Oslo", '{"city": "Oslo"}'), Candidate("q", "From Oslo", '{"city": "Rome"}')]
    assert {name: score(batch) for name, score in scorers.items()} == {
        "strict_json": [1.0, 1.0],
        "grounding": [1.0, 0.0],
        "consensus": [0.5, 0.5],
    }


def test_scores_verdict_and_reward_come_together_and_an_empty_answer_is_worth_nothing() -> None:
    batch = [Candidate("q", "From Oslo", text) for text in ("Oslo", "Oslo", "")]
    agree, _, empty = score([ConsensusConfig(name="consensus", votes=2)], batch)
    assert (agree.verified, agree.reward, empty.verified, empty.reward) == (1.0, (1 + 2 / 3) / 2, 0.0, 0.0)
    assert score([ConsensusConfig(name="consensus")], []) == []
