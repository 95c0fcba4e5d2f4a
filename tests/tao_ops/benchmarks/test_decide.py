"""The gate's rule: what is promoted, what is not, and how often chance is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tao_ops.benchmarks.decide import BenchmarkScores, Decision, Report, decide
from tao_ops.config import GateConfig
from tao_ops.errors import IncomparableReports
from tao_ops.models import ModelFacts

_FACTS = ModelFacts("old", "LlamaForCausalLM", 100, "BF16")


def _report(model_version: str = "old", *, primary: Sequence[float], **others: Sequence[float]) -> Report:
    scores = {
        name: BenchmarkScores(name, "v1", "exact_json", name == "primary", {f"i{n}": s for n, s in enumerate(values)})
        for name, values in {"primary": primary, **others}.items()
    }
    return Report(replace(_FACTS, model_version=model_version), scores)


def _share(right: int, n: int = 300) -> list[float]:
    return [1.0] * right + [0.0] * (n - right)


def test_a_clear_gain_is_promoted_with_its_figures() -> None:
    verdict = decide(GateConfig(), champion=_report(primary=_share(6)), candidate=_report("new", primary=_share(150)))
    assert verdict.decision is Decision.PROMOTE
    assert len(verdict.reasons) == 1
    assert verdict.reasons[0].startswith("primary: +48.0 points over 300 items, 95% interval [+4")
    assert verdict.reasons[0].endswith(": better")


def test_a_clear_loss_is_rejected() -> None:
    verdict = decide(GateConfig(), champion=_report(primary=_share(150)), candidate=_report("new", primary=_share(100)))
    assert verdict.decision is Decision.REJECT
    assert "-16.7 points" in verdict.reasons[0] and verdict.reasons[0].endswith("worse")


def test_a_small_gain_is_undecided_and_says_how_many_items_would_decide() -> None:
    candidate = _share(150)
    for item in (0, 150, 151, 152):
        candidate[item] = 1 - candidate[item]
    verdict = decide(GateConfig(), champion=_report(primary=_share(150)), candidate=_report("new", primary=candidate))
    assert verdict.decision is Decision.UNDECIDED
    # Two of 300 gained, four differ: ((1.96 + 0.84) * sd / delta)^2, with sd^2 = 4/300 - (2/300)^2.
    expected = 7.849 * (4 / 300 - (2 / 300) ** 2) / (2 / 300) ** 2
    said = int(verdict.reasons[0].split("about ")[1].split(" items")[0].replace(",", ""))
    assert said == pytest.approx(expected, rel=0.01)


def test_the_margin_is_asked_of_the_primary() -> None:
    reports = {"champion": _report(primary=_share(100)), "candidate": _report("new", primary=_share(120))}
    assert decide(GateConfig(margin=0.05), **reports).decision is Decision.PROMOTE
    held = decide(GateConfig(margin=0.07), **reports)
    assert held.decision is Decision.UNDECIDED
    assert "not by more than +7.0 points" in held.reasons[0]


@pytest.mark.parametrize(
    ("other", "decision", "says"),
    [
        (_share(270), Decision.PROMOTE, "not worse"),
        (_share(275), Decision.PROMOTE, "not worse"),
        (_share(265), Decision.UNDECIDED, "is not excluded; about"),
        (_share(200), Decision.REJECT, "worse, by more than 2.0 points"),
    ],
)
def test_another_benchmark_must_be_shown_to_hold(other: list[float], decision: Decision, says: str) -> None:
    verdict = decide(
        GateConfig(),
        champion=_report(primary=_share(6), kept=_share(270)),
        candidate=_report("new", primary=_share(150), kept=other),
    )
    assert verdict.decision is decision
    assert says in verdict.reasons[1]
    assert "corrected for 2 benchmarks" in verdict.reasons[0]


def test_a_few_items_cannot_show_that_nothing_was_lost() -> None:
    verdict = decide(
        GateConfig(),
        champion=_report(primary=_share(6), kept=_share(10, 10)),
        candidate=_report("new", primary=_share(150), kept=_share(10, 10)),
    )
    assert verdict.decision is Decision.UNDECIDED


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"architecture": "GPT2LMHeadModel"},
            "architecture is GPT2LMHeadModel, the champion's LlamaForCausalLM",
        ),
        ({"parameters": 101}, "number of parameters is 101"),
        ({"dtype": "F32"}, "dtype is F32"),
    ],
)
def test_what_changes_the_cost_of_inference_is_rejected(change: Mapping[str, Any], says: str) -> None:
    candidate = _report("new", primary=_share(300))
    candidate = replace(candidate, facts=replace(candidate.facts, **change))
    verdict = decide(GateConfig(), champion=_report(primary=_share(6)), candidate=candidate)
    assert verdict.decision is Decision.REJECT
    assert says in verdict.reasons[0]


def test_the_champion_against_itself_is_undecided() -> None:
    verdict = decide(GateConfig(), champion=_report(primary=_share(6)), candidate=_report(primary=_share(6)))
    assert verdict.decision is Decision.UNDECIDED
    assert "is the champion itself" in verdict.reasons[0]


def _with_scores(report: Report, **change: Any) -> Report:
    return replace(report, benchmarks={"primary": replace(report.benchmarks["primary"], **change)})


@pytest.mark.parametrize(
    ("candidate", "says"),
    [
        (_with_scores(_report("new", primary=_share(9)), version="v2"), "version differs: v1 and v2"),
        (_with_scores(_report("new", primary=_share(9)), prompt_digest="p2"), "prompt_digest differs"),
        (_with_scores(_report("new", primary=_share(9)), decoding_digest="d2"), "decoding_digest differs"),
        (_with_scores(_report("new", primary=_share(9)), metric="other"), "metric differs"),
        (replace(_report("new", primary=_share(9)), engine="vllm"), "engines differ"),
        (_report("new", primary=_share(9), kept=_share(9)), "benchmarks differ: primary and kept, primary"),
        (_report("new", primary=_share(9, 299)), "1 items have one score only, i299"),
        (_report("new", primary=[math.nan, *_share(9, 299)]), "the score of item i0 is nan"),
        (_report("new", primary=[2.0, *_share(9, 299)]), "the score of item i0 is 2.0"),
    ],
)
def test_reports_that_cannot_be_paired_raise(candidate: Report, says: str) -> None:
    with pytest.raises(IncomparableReports, match=says):
        decide(GateConfig(), champion=_report(primary=_share(6)), candidate=candidate)


def test_reports_need_items_and_one_primary() -> None:
    with pytest.raises(IncomparableReports, match="no items"):
        decide(GateConfig(), champion=_report(primary=[]), candidate=_report("new", primary=[]))
    none = _with_scores(_report(primary=_share(6)), primary=False)
    with pytest.raises(IncomparableReports, match="exactly one benchmark must be primary"):
        decide(GateConfig(), champion=none, candidate=replace(none, facts=replace(_FACTS, model_version="new")))


@pytest.mark.parametrize("kind", ["right or wrong", "graded"])
def test_without_a_true_difference_at_most_one_in_twenty_is_promoted(kind: str) -> None:
    rng = np.random.default_rng(7)
    trials, promoted, rejected = 400, 0, 0
    for trial in range(trials):
        if kind == "graded":
            scores = rng.random((2, 60))
        else:
            ease = rng.random(100)
            scores = (rng.random((2, 100)) < ease).astype(float)
        champion, candidate = (_report(v, primary=s.tolist()) for v, s in zip(("old", "new"), scores, strict=True))
        decision = decide(GateConfig(), champion=champion, candidate=candidate, seed=trial, resamples=300).decision
        promoted += decision is Decision.PROMOTE
        rejected += decision is Decision.REJECT
    assert promoted / trials <= 0.05
    assert rejected / trials <= 0.05


def test_the_same_reports_give_the_same_verdict() -> None:
    rng = np.random.default_rng(1)
    champion = _report(primary=rng.random(50).tolist(), kept=rng.random(50).tolist())
    candidate = _report("new", primary=rng.random(50).tolist(), kept=rng.random(50).tolist())
    verdicts = {decide(GateConfig(), champion=champion, candidate=candidate, seed=3) for _ in range(2)}
    assert len(verdicts) == 1
