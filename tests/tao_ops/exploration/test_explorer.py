"""Samples go where they help, within the budget, the same way each time."""

from collections import Counter
from functools import partial
from typing import Any

import pytest

from tao_ops.config import GenerateConfig
from tao_ops.exploration import Adaptive, Budget, Explored, Found, Policy, Rule, Uniform, Yield, explore, sample
from tests.tao_ops.exploration.doubles import RuleEngine, prompts, task, way


def _explore(
    engine: RuleEngine, tasks: dict[str, Explored], policy: Policy, n: int = 20, budget: Budget | None = None
) -> Found:
    rule = Rule(confidence=0.9, min_reward=0.6)
    return explore(
        prompts(n),
        tasks,
        sampled=partial(sample, engine),
        policy=policy,
        budget=budget or Budget(),
        rule=rule,
        say=lambda _: None,
    )


def _adaptive(prior: dict[str, dict[str, Yield]] | None = None, seed: int = 1, **config: Any) -> Adaptive:
    return Adaptive(GenerateConfig(**config), prior or {}, seed)


def _counts(found: Found) -> Counter[str]:
    return Counter(response.wanted.way.name for response in found.responses)


def test_uniform_gives_every_query_every_sample_in_one_round() -> None:
    found = _explore(RuleEngine({"a": 0.5, "b": 0.5}), task(way("a", 3), way("b", 5)), Uniform())
    assert _counts(found) == {"a": 60, "b": 100} and found.rounds == 1 and found.tokens == 1600
    asked = Counter((r.wanted.prompt.query_id, r.wanted.way.name, r.wanted.sample) for r in found.responses)
    assert set(asked.values()) == {1}


def test_uniform_on_a_short_budget_gives_all_queries_equally_many() -> None:
    found = _explore(RuleEngine({"a": 0.5}), task(way("a", 8)), Uniform(), budget=Budget(samples=65))
    per_query = Counter(response.wanted.prompt.query_id for response in found.responses)
    assert sum(per_query.values()) == 65 and set(per_query.values()) == {3, 4} and len(per_query) == 20
    assert found.short == 20 - found.settled


@pytest.mark.parametrize("policy", [Uniform(), _adaptive()])
@pytest.mark.parametrize("tokens", [0, 19, 20, 333, 1000])
def test_a_budget_of_tokens_is_never_exceeded_and_is_used(policy: Policy, tokens: int) -> None:
    engine = RuleEngine({"a": 0.0, "b": 0.0})
    found = _explore(engine, task(way("a", 50), way("b", 50, calls=2)), policy, budget=Budget(tokens=tokens))
    assert found.tokens == sum(r.tokens for r in found.responses) <= tokens
    assert tokens - found.tokens < 40


def test_a_settled_query_gets_no_more_and_one_that_fails_gets_all() -> None:
    class Half(RuleEngine):
        def _text(self, strategy: str, conversation: Any) -> str:
            self.right = {"a": 1.0 if conversation[1]["content"].endswith(("0", "2")) else 0.0}
            return super()._text(strategy, conversation)

    found = _explore(Half({}), task(way("a", 16)), _adaptive(), n=4)
    per_query = Counter(response.wanted.prompt.query_id for response in found.responses)
    assert found.settled == 2 and per_query["q1"] == per_query["q3"] == 16
    assert per_query["q0"] == per_query["q2"] == 4


def test_the_better_strategy_gets_most_and_none_dies() -> None:
    engine = RuleEngine({"good": 0.3, "bad": 0.0})
    found = _explore(engine, task(way("good", 64), way("bad", 64)), _adaptive(floor=0.1), n=60, budget=Budget(1500))
    counts = _counts(found)
    assert counts["good"] > 3 * counts["bad"] > 0


def test_of_two_equally_good_ones_the_cheaper_gets_more() -> None:
    engine = RuleEngine({"cheap": 0.3, "dear": 0.3})
    ways = way("cheap", 64), way("dear", 64, calls=4)
    counts = _counts(_explore(engine, task(*ways), _adaptive(), n=60, budget=Budget(1500)))
    assert counts["cheap"] > 2 * counts["dear"]


def test_what_earlier_turns_found_counts_from_the_first_round() -> None:
    prior = {"t": {"a": Yield(200, 2000, 0, 0.0), "b": Yield(200, 2000, 150, 150.0)}}
    engine = RuleEngine({"a": 0.5, "b": 0.5})
    found = _explore(engine, task(way("a", 8), way("b", 8)), _adaptive(prior), n=50)
    first = Counter(r.wanted.way.name for r in found.responses if r.wanted.round == 1)
    assert first["b"] > 5 * first["a"]


def test_the_same_seed_asks_the_same() -> None:
    def asked(seed: int) -> list[tuple[str, str, int, int]]:
        engine = RuleEngine({"a": 0.4, "b": 0.2})
        found = _explore(engine, task(way("a"), way("b")), _adaptive(seed=seed))
        return [(r.wanted.prompt.query_id, r.wanted.way.name, r.wanted.sample, r.wanted.round) for r in found.responses]

    assert asked(1) == asked(1) != asked(2)


def test_a_strategy_that_does_not_fit_is_asked_once_and_the_others_go_on() -> None:
    engine = RuleEngine({"a": 0.0, "long": 1.0}, too_long=frozenset({"long"}))
    found = _explore(engine, task(way("a", 4), way("long", 4)), _adaptive(floor=0.5), budget=Budget(samples=1000))
    assert _counts(found) == {"a": 80} and 0 < found.too_long["long"] <= 20 * 4


def test_yields_tell_samples_tokens_and_what_passed() -> None:
    found = _explore(RuleEngine({"a": 1.0, "b": 0.0}), task(way("a", 4), way("b", 4)), Uniform(), n=5)
    a, b = found.yields["t"]["a"], found.yields["t"]["b"]
    assert (a.samples, a.tokens, a.passed) == (20, 200, 20) and (b.samples, b.passed, b.reward) == (20, 0, 0.0)
    assert a.reward == pytest.approx(20 * (1 + 31 / 32) / 2)  # the others, no JSON, have no vote


def test_no_prompts_ask_nothing() -> None:
    for policy in (Uniform(), _adaptive()):
        found = _explore(RuleEngine({}), task(way("a")), policy, n=0)
        assert found.responses == [] and found.rounds == 0
