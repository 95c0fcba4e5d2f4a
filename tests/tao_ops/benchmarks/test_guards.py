"""The guards: what breaks each, what does not, and what is said."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tao_ops.benchmarks import guards
from tao_ops.benchmarks.reports import EMPTY, REPEATED, TRUNCATED, BenchmarkScores, Fall, Output, Report
from tao_ops.config.gate import GuardsConfig
from tao_ops.models import ModelFacts

_N = 100


def _report(
    outputs: Sequence[Output] | Mapping[str, Output] = (), *, right: int = 50, name: str = "mail", **changes: Any
) -> Report:
    """One benchmark of 100 items, ``right`` of them right; ``outputs`` in the order of the items."""
    items = {f"i{n:03}": float(n < right) for n in range(_N)}
    given = outputs if isinstance(outputs, Mapping) else dict(zip(items, outputs, strict=False))
    scores = BenchmarkScores(name, "v1", "exact_json", True, items, outputs=given)
    report = Report(ModelFacts("old", "LlamaForCausalLM", 100, "BF16"), {name: scores})
    return replace(report, **changes)


def _broken(champion: Report, candidate: Report, **config: float) -> tuple[str, ...]:
    return guards.broken(
        GuardsConfig(**config), champion=champion, candidate=candidate, alpha=0.05, seed=1, resamples=2000
    )


def _flagged(flag: str, many: int) -> list[Output]:
    return [Output(flags=(flag,) if n < many else ()) for n in range(_N)]


def test_equal_models_break_nothing() -> None:
    report = _report([Output(tokens=20, reward=n / _N) for n in range(_N)], seconds_a_token=0.01)
    assert _broken(report, report) == ()


def test_what_is_not_known_breaks_nothing() -> None:
    told = _report([Output(tokens=900, flags=(EMPTY,), reward=1.0)] * _N, seconds_a_token=9.0)
    assert _broken(_report(), told) == ()
    assert _broken(_report([Output()] * _N), _report([Output(tokens=900, reward=1.0)] * _N)) == ()


@pytest.mark.parametrize(("tokens", "breaks"), [(30, False), (31, True)])
def test_outputs_may_not_grow_past_the_limit(tokens: int, breaks: bool) -> None:
    found = _broken(_report([Output(tokens=20)] * _N), _report([Output(tokens=tokens)] * _N))
    assert bool(found) is breaks
    if breaks:
        assert found == (
            "mail: the candidate's outputs have 31.0 tokens on average, the champion's 20.0:"
            " 1.55 times as many, and 1.5 is the limit",
        )


def test_length_is_compared_on_the_items_that_both_have() -> None:
    champion = _report({"i000": Output(tokens=10), "i001": Output(tokens=400), "i002": Output(tokens=None)})
    candidate = _report({"i000": Output(tokens=20), "i002": Output(tokens=900), "i003": Output(tokens=1)})
    assert "20.0 tokens on average, the champion's 10.0: 2.00 times" in _broken(champion, candidate)[0]


@pytest.mark.parametrize(("old", "new", "breaks"), [(0.01, 0.015, False), (0.01, 0.0151, True), (None, 9.0, False)])
def test_a_token_may_not_take_much_longer(old: float | None, new: float, breaks: bool) -> None:
    found = _broken(_report(seconds_a_token=old), _report(seconds_a_token=new))
    assert bool(found) is breaks
    if breaks:
        assert "takes 15.1 ms for a token, the champion 10: 1.51 times as long, and 1.5 is the limit" in found[0]


@pytest.mark.parametrize(
    ("flag", "many", "says"),
    [
        (EMPTY, 6, "6.0% of the candidate's outputs say nothing, 3.0% of the champion's: 2.0% more is the limit"),
        (TRUNCATED, 9, "9.0% of the candidate's outputs are cut off at the longest, 3.0% of the champion's: 5.0%"),
        (REPEATED, 9, "9.0% of the candidate's outputs repeat themselves, 3.0% of the champion's: 5.0% more"),
    ],
)
def test_a_share_of_bad_outputs_may_grow_to_the_limit_and_no_further(flag: str, many: int, says: str) -> None:
    champion = _report(_flagged(flag, 3))
    assert _broken(champion, _report(_flagged(flag, many - 1))) == ()
    found = _broken(champion, _report(_flagged(flag, many)))
    assert len(found) == 1
    assert says in found[0]


def test_limits_are_the_configs() -> None:
    champion, candidate = _report(_flagged(EMPTY, 0)), _report(_flagged(EMPTY, 30))
    assert _broken(champion, candidate, empty=0.3) == ()
    assert _broken(champion, candidate, empty=0.29) != ()


def test_a_model_that_was_trained_on_the_exam_is_told() -> None:
    assert _broken(_report(), _report(contaminated=1)) == (
        "the candidate was trained on 1 benchmark item: its scores say nothing",
    )


@pytest.mark.parametrize(("share", "limit", "breaks"), [(0.8, 0.5, True), (0.5, 0.5, False), (0.8, 1.0, False)])
def test_a_scorer_that_falls_for_a_probe_may_not_have_trained_the_candidate(
    share: float, limit: float, breaks: bool
) -> None:
    fall = Fall("tickets", "tone", "wrong answer padded", share, 20, "2026-11-21T00:00Z")
    assert _broken(_report(fallen=[fall]), _report(), probes=limit) == (), "the champion's rewards are not judged"
    found = _broken(_report(), _report(fallen=[fall]), probes=limit)
    assert bool(found) is breaks
    if breaks:
        assert found == (
            "tickets: tone fell for the probe 'wrong answer padded' in turn 2026-11-21T00:00Z, whose rewards the"
            " candidate was trained on: it gives at least the honest answer's score in 80% of 20 comparisons, and 50%"
            " is the limit",
        )


def test_of_several_probes_the_one_that_a_scorer_liked_most_is_told() -> None:
    falls = [
        Fall("tickets", scorer, probe, share, 20, "t1")
        for scorer, probe, share in (
            ("tone", "empty", 0.7),
            ("tone", "blank", 1.0),
            ("tone", "query copied", 0.3),
            ("combined reward", "empty", 0.6),
        )
    ]
    first, second = _broken(_report(), _report(fallen=falls))
    assert "tone fell for the probe 'blank'" in first and first.endswith("50% is the limit; 1 more such probe")
    assert "combined reward fell for the probe 'empty'" in second and second.endswith("50% is the limit")


def _rewarded(mean: float, *, right: int, **changes: Any) -> Report:
    return _report([Output(reward=mean + (n % 10) / 100) for n in range(_N)], right=right, **changes)


@pytest.mark.parametrize(
    ("reward", "right", "breaks"),
    [(0.7, 50, True), (0.7, 48, True), (0.7, 51, False), (0.5, 50, False), (0.3, 48, False)],
)
def test_a_reward_that_rises_without_the_score_has_a_hole(reward: float, right: int, breaks: bool) -> None:
    found = _broken(_rewarded(0.5, right=50), _rewarded(reward, right=right))
    assert bool(found) is breaks
    if breaks:
        assert "mail: the mean reward rose from 0.545 to 0.745 over 100 items" in found[0]
        assert found[0].endswith("the reward has a hole")


def test_a_rise_of_the_reward_by_chance_is_none() -> None:
    champion = _report([Output(reward=float(n % 2)) for n in range(_N)])
    candidate = _report([Output(reward=float(n % 2) if n > 2 else 1.0) for n in range(_N)])
    assert _broken(champion, candidate) == ()


def test_all_broken_guards_are_told() -> None:
    champion = _report([Output(tokens=10)] * _N, seconds_a_token=0.01)
    candidate = _report([Output(tokens=99, flags=(EMPTY, TRUNCATED, REPEATED))] * _N, seconds_a_token=1.0)
    candidate = replace(candidate, contaminated=2, facts=ModelFacts("new", "GPT2LMHeadModel", 101, "F32"))
    candidate = replace(candidate, fallen=[Fall("mail", "judge", "master key", 1.0, 20, "t")])
    assert len(_broken(champion, candidate)) == 10
