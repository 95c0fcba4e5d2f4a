"""Signs of a reward that is gamed, and no alarm without them."""

import doctest
import json
import random

import pytest
from scipy.stats import spearmanr

from tao_ops.config import Limit, MonitorConfig
from tao_ops.rewards import monitors
from tao_ops.rewards.monitors import Judged, judge, measure, reward_without_benchmark


def _rows(*queries: list[tuple[str, float | None]]) -> list[Judged]:
    return [Judged(f"q{i}", text, text, reward) for i, query in enumerate(queries) for text, reward in query]


def _lengths(sign: int, noise: float, queries: int = 20) -> list[Judged]:
    chance = random.Random(3)
    return _rows(
        *(
            [
                ("x" * long, min(1.0, max(0.0, 0.5 + sign * long / 100 + chance.uniform(-noise, noise))))
                for long in range(1, 7)
            ]
            for _ in range(queries)
        )
    )


def test_a_reward_that_pays_for_length_correlates_with_it() -> None:
    assert measure(_lengths(1, 0.0))["length"] == pytest.approx(1.0)
    assert measure(_lengths(-1, 0.0))["length"] == pytest.approx(-1.0)
    assert abs(measure(_lengths(0, 0.4, 200))["length"] or 1.0) < 0.1


def test_lengths_are_compared_within_queries_only() -> None:
    between = [[("x" * (10 * i + j), i / 100 - j / 1000) for j in range(1, 5)] for i in range(1, 11)]
    assert measure(_rows(*between))["length"] == pytest.approx(-1.0)


def test_of_queries_like_one_another_it_is_spearmans_correlation_with_ties() -> None:
    query = [("x", 0.2), ("xxx", 0.2), ("xx", 0.9), ("xxxx", 1.0), ("xxx", 0.5)]
    expected = spearmanr([len(text) for text, _ in query], [reward for _, reward in query]).statistic
    assert measure(_rows(*[query] * 8))["length"] == pytest.approx(expected)


def test_what_has_no_spread_or_no_text_or_is_too_little_says_nothing_of_length() -> None:
    assert measure(_rows(*[[("x", 0.5), ("xx", 0.5), ("xxx", 0.5)]] * 30))["length"] is None
    assert measure(_rows(*[[("", 0.0), ("xx", 1.0), ("xxx", 1.0)]] * 30))["length"] is None
    assert measure(_lengths(1, 0.0, queries=3))["length"] is None


def test_no_spread_counts_queries_whose_scored_responses_are_equal() -> None:
    equal, unequal = [("a", 0.3), ("b", 0.1 + 0.2), ("c", None)], [("a", 0.1), ("b", 0.9)]
    lone = [("a", 1.0), ("b", None)]
    assert measure(_rows(*[equal] * 6, *[unequal] * 2, *[lone] * 9))["no_spread"] == 0.75


def test_entropy_is_nothing_where_all_say_the_same_and_one_where_none_do() -> None:
    same, apart, half = [("a", 1.0)] * 4, [(c, 1.0) for c in "abcd"], [(c, 1.0) for c in "aabb"]
    assert measure(_rows(*[same] * 5))["entropy"] == 0.0
    assert measure(_rows(*[apart] * 5))["entropy"] == pytest.approx(1.0)
    assert measure(_rows(*[half] * 5))["entropy"] == pytest.approx(0.5)


def test_the_same_answer_to_every_query_is_a_template_and_the_same_keys_are_not() -> None:
    people = [json.dumps({"customer": name, "product": "coat"}) for name in ("Anna", "Bela", "Chen", "Dora", "Emil")]
    assert measure(_rows(*[[(text, 1.0), (text, 1.0)] for text in people]))["template"] == pytest.approx(0.2)
    assert measure(_rows(*[[(people[0], 1.0)]] * 5))["template"] == pytest.approx(1.0)


def test_texts_that_begin_alike_are_a_template() -> None:
    opening = "Thank you for contacting us about your recent order of"
    alike = [[(f"{opening} {word} {number}.", 1.0)] for number, word in enumerate(("coats", "hats", "bags", "socks"))]
    assert measure(_rows(*alike, [("It will come on Monday.", 1.0)]))["template"] == pytest.approx(0.8)


def test_a_query_with_many_responses_weighs_no_more_than_another() -> None:
    many = [("a", 1.0)] * 50
    assert measure(_rows(many, *[[(c, 1.0)] for c in "bcde"]))["template"] == pytest.approx(0.2)


def test_nothing_is_measured_of_nothing() -> None:
    assert set(measure([]).values()) == {None}
    assert set(measure(_rows([("a", 1.0), ("a", 1.0)])).values()) == {None}


@pytest.mark.parametrize(
    ("history", "turns"),
    [
        ([], 0),
        ([(0.5, 0.5)], 0),
        ([(0.5, 0.5), (0.6, 0.6)], 0),
        ([(0.5, 0.5), (0.6, 0.5)], 1),
        ([(0.5, 0.5), (0.5, 0.4)], 0),
        ([(0.1, 0.5), (0.2, 0.4), (0.3, 0.5), (0.4, 0.5), (0.5, 0.1)], 2),
        ([(0.1, 0.5), (0.2, 0.4), (None, 0.9), (0.3, None), (0.4, 0.4)], 2),
    ],
)
def test_turns_whose_reward_rose_alone(history: list[tuple[float | None, float | None]], turns: int) -> None:
    assert reward_without_benchmark(history) == turns


def test_a_finding_says_what_it_saw_and_what_to_do() -> None:
    config = MonitorConfig(no_spread=Limit(warn=0.5, fail=0.9), reward_without_benchmark=Limit(fail=2))
    measured = {"no_spread": 0.95, "length": -0.9, "entropy": 0.02, "drift:judge": 0.3, "reward_without_benchmark": 2}
    findings = judge(measured, config)
    assert [(finding.name, finding.level) for finding in findings] == [
        ("no_spread", "fail"),
        ("entropy", "warn"),
        ("drift:judge", "warn"),
        ("reward_without_benchmark", "fail"),
    ]
    assert findings[0].sentence == (
        "monitor 'no_spread': in 95% of the queries all responses have the same reward, so nothing can be learnt of "
        "them: add a scorer that tells them apart, or sample at a higher temperature (monitors.no_spread.fail: 0.9)"
    )
    assert "the scores of judge" in findings[2].sentence and "0.30" in findings[2].sentence
    json.dumps([finding.as_dict() for finding in findings])


def test_every_monitor_can_be_at_its_limit_and_be_switched_off() -> None:
    limits = {name: Limit(warn=0.5, fail=None) for name in MonitorConfig.model_fields}
    assert len(judge(dict.fromkeys(limits, 0.5), MonitorConfig(**limits))) == len(limits)
    never = {name: Limit() for name in MonitorConfig.model_fields}
    assert judge(dict.fromkeys(limits, 1e9), MonitorConfig(**never)) == []


def test_examples_hold() -> None:
    done = doctest.testmod(monitors)
    assert done.attempted and not done.failed
