"""Responses are sampled call by call, equal conversations in one request."""

from tao_ops.exploration.sampler import Wanted, sample
from tests.tao_ops.exploration.doubles import RuleEngine, prompts, way


def test_equal_conversations_are_one_request_with_several_samples() -> None:
    engine, plain = RuleEngine({"plain": 1.0}), way("plain")
    wanted = [Wanted(prompt, plain, i, 1) for prompt in prompts(2) for i in range(3)]
    responses, too_long, tokens = sample(engine, wanted)
    assert [(s.samples, s.max_tokens) for _, s in engine.requests] == [(3, 20), (3, 20)]
    assert [r.wanted for r in responses] == wanted and too_long == [] and tokens == 60
    assert [r.answer for r in responses] == ['{"city": "Oslo 0"}'] * 3 + ['{"city": "Oslo 1"}'] * 3


def test_a_greedy_response_is_sampled_once_however_often_it_is_wanted() -> None:
    engine, greedy = RuleEngine({"plain": 1.0}), way("plain", 1, temperature=0)
    responses, _, tokens = sample(engine, [Wanted(prompts(1)[0], greedy, i, 1) for i in range(3)])
    assert [s.samples for _, s in engine.requests] == [1] and tokens == 10
    assert [(r.answer, r.tokens) for r in responses] == [('{"city": "Oslo 0"}', n) for n in (10, 0, 0)]


def test_a_strategy_of_several_calls_sees_what_it_said_and_pays_for_all_calls() -> None:
    engine, two = RuleEngine({"plain": 1.0, "two": 1.0}), way("two", calls=2)
    wanted = [Wanted(prompts(1)[0], one, 0, 1) for one in (way("plain"), two)]
    responses, _, tokens = sample(engine, wanted)
    assert [len(messages) for messages, _ in engine.requests] == [2, 2, 3]
    assert [r.tokens for r in responses] == [10, 20] and tokens == 30


def test_a_conversation_that_is_too_long_is_told_and_the_others_go_on() -> None:
    engine = RuleEngine({"plain": 1.0, "long": 1.0}, too_long=frozenset({"long"}))
    wanted = [Wanted(prompts(1)[0], way(name), 0, 1) for name in ("long", "plain")]
    responses, too_long, tokens = sample(engine, wanted)
    assert [r.wanted for r in responses] == wanted[1:] and too_long == wanted[:1] and tokens == 10


def test_a_ladder_of_temperatures_is_climbed_and_no_conversation_stays_on_one_rung() -> None:
    ladder = way("plain", temperature=[0.2, 0.6, 1.0])
    got = [ladder.sampling(sample, 0).temperature for sample in range(9)]
    assert sorted(got) == [0.2] * 3 + [0.6] * 3 + [1.0] * 3
    assert {got[0], got[3], got[6]} == {0.2, 0.6, 1.0}


def test_only_the_last_call_is_held_to_a_structure() -> None:
    two = way("two", calls=2)
    two.strategy.structure = object()  # type: ignore[assignment]
    assert two.sampling(0, 0).structure is None and two.sampling(0, 1).structure is not None
