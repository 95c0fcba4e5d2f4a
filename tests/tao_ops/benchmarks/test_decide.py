"""The gate's rule: what is promoted, what is not, and how often chance is."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tao_ops.benchmarks import spending
from tao_ops.benchmarks.decide import Decision, Verdict, decide
from tao_ops.benchmarks.reports import BenchmarkScores, Output, Report
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
    said = ", level 0.022 (the 1st candidate against this champion this month): better"
    assert verdict.reasons[0].endswith(said)


@pytest.mark.parametrize(
    ("test", "decision", "says"),
    [
        (1, Decision.PROMOTE, "level 0.022 (the 1st candidate against this champion this month): better"),
        (2, Decision.UNDECIDED, "level 0.0072 (the 2nd candidate"),
        (13, Decision.UNDECIDED, "(the 13th candidate against this champion this month): a gain is not shown at this"),
    ],
)
def test_each_further_candidate_of_the_month_needs_more(test: int, decision: Decision, says: str) -> None:
    # 14 gained and 3 lost: p = 0.0127, below alpha, and below the level of the first candidate alone.
    champion, candidate = _share(150), _share(150)
    for item in (*range(3), *range(150, 164)):
        candidate[item] = 1 - candidate[item]
    verdict = decide(
        GateConfig(), champion=_report(primary=champion), candidate=_report("new", primary=candidate), test=test
    )
    assert verdict.decision is decision
    assert says in verdict.reasons[0]
    assert verdict.findings[0].level == spending.level(0.05, test)


def test_a_drop_is_rejected_at_alpha_however_many_were_tested() -> None:
    champion, candidate = _share(150), _share(150)
    for item in (*range(14), *range(150, 153)):
        candidate[item] = 1 - candidate[item]
    verdict = decide(
        GateConfig(), champion=_report(primary=champion), candidate=_report("new", primary=candidate), test=30
    )
    assert verdict.decision is Decision.REJECT
    assert verdict.findings[0].level == 0.05


def test_candidates_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="counted from 1, not 0"):
        decide(GateConfig(), champion=_report(primary=[0.0]), candidate=_report("new", primary=[1.0]), test=0)


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
    # Two of 300 gained, four differ: ((z + 0.842) * sd / delta)^2, with sd^2 = 4/300 - (2/300)^2, and z = 2.293 at the
    # level of a first candidate, 0.0219.
    expected = (2.293 + 0.842) ** 2 * (4 / 300 - (2 / 300) ** 2) / (2 / 300) ** 2
    said = int(verdict.reasons[0].split("about ")[1].split(" items")[0].replace(",", ""))
    assert said == verdict.findings[0].items_needed == pytest.approx(expected, rel=0.01)


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


def test_every_broken_guard_is_told_before_the_scores_which_are_judged_all_the_same() -> None:
    candidate = _report("new", primary=_share(150))
    candidate = replace(candidate, facts=replace(candidate.facts, dtype="F32"), contaminated=3)
    verdict = decide(GateConfig(), champion=_report(primary=_share(6)), candidate=candidate)
    assert verdict.decision is Decision.REJECT
    assert [reason.split(":")[0] for reason in verdict.reasons] == [
        "the candidate's dtype is F32, the champion's BF16",
        "the candidate was trained on 3 benchmark items",
        "primary",
    ]
    assert verdict.findings[0].decision is Decision.PROMOTE


def test_a_candidate_that_pleases_the_reward_alone_is_refused() -> None:
    def rewarded(report: Report, reward: float) -> Report:
        outputs = {item: Output(reward=reward + n / 1000) for n, item in enumerate(report.benchmarks["primary"].items)}
        return _with_scores(report, outputs=outputs)

    verdict = decide(
        GateConfig(),
        champion=rewarded(_report(primary=_share(100)), 0.3),
        candidate=rewarded(_report("new", primary=_share(98)), 0.6),
    )
    assert verdict.decision is Decision.REJECT
    assert "the reward has a hole" in verdict.reasons[0]


def _sliced(champion: Sequence[float], candidate: Sequence[float], **slices: Sequence[int]) -> Verdict:
    """A verdict on ``primary`` with the slices, each of the items of these numbers."""
    named = {f"family={name}": [f"i{n}" for n in numbers] for name, numbers in slices.items()}
    reports = [
        _with_scores(_report(version, primary=scores), slices=named)
        for version, scores in (("old", champion), ("new", candidate))
    ]
    return decide(GateConfig(), champion=reports[0], candidate=reports[1])


def test_a_slice_that_fell_is_rejected_though_the_mean_rose() -> None:
    # Of 300 items 30 are of one family: 21 right before, 9 after. Of the others 60 more are right.
    champion = [1.0] * 21 + [0.0] * 9 + [1.0] * 90 + [0.0] * 180
    candidate = [1.0] * 9 + [0.0] * 21 + [1.0] * 150 + [0.0] * 120
    families = {"printers": range(30), "phones": range(30, 130), "chairs": range(130, 300)}
    verdict = _sliced(champion, candidate, **families)
    assert verdict.decision is Decision.REJECT
    whole, *slices = verdict.findings
    assert (whole.decision, whole.delta > 0) == (Decision.PROMOTE, True)
    assert [(one.slice, one.decision) for one in slices if one.decision is not Decision.PROMOTE] == [
        ("family=printers", Decision.REJECT)
    ]
    assert verdict.reasons[1].startswith("primary, family=printers: -40.0 points over 30 items, 95% interval [-")
    assert "p (of a drop, corrected for 3 slices) = 0.00073: worse, by more than 2.0 points" in verdict.reasons[1]
    assert decide(
        GateConfig(), champion=_report(primary=champion), candidate=_report("new", primary=candidate)
    ).decision is (Decision.PROMOTE), "without the slice declared the mean hides it"


def test_slices_that_hold_take_one_sentence_and_those_of_few_items_are_named() -> None:
    champion, candidate = _share(100), _share(150)
    few = {f"f{n}": range(n, n + 3) for n in range(7)}
    verdict = _sliced(champion, candidate, first=range(150), second=range(150, 300), elsewhere=[900, 901], **few)
    assert verdict.decision is Decision.PROMOTE
    assert verdict.reasons[1] == "primary: of 2 slices none is shown to be worse by more than 2.0 points"
    assert verdict.reasons[2] == (
        "primary: too few items to judge a slice (at least 10): family=elsewhere (0), family=f0 (3), family=f1 (3), "
        "family=f2 (3), family=f3 (3) and 3 others"
    )
    assert [one.slice for one in verdict.findings] == ["", "family=first", "family=second"]


def test_slices_are_corrected_for_their_number() -> None:
    # One slice of 20 items loses 6: p = 0.0156 alone, and no more than chance among ten.
    champion = [1.0] * 300
    candidate = [0.0] * 6 + [1.0] * 294
    alone = _sliced(champion, candidate, hit=range(20))
    among = _sliced(champion, candidate, hit=range(20), **{f"s{n}": range(20 * n, 20 * n + 20) for n in range(1, 10)})
    found = [one for one in among.findings if one.slice == "family=hit"]
    assert next(one for one in alone.findings if one.slice).decision is Decision.REJECT
    assert (found[0].p_value, found[0].corrected_p) == pytest.approx((0.015625, 0.15625))
    assert found[0].decision is Decision.PROMOTE


def test_a_slice_of_another_benchmark_counts_too() -> None:
    kept, fell = _share(280), [0.0] * 15 + [1.0] * 280 + [0.0] * 5
    reports = [_report(primary=_share(6), kept=kept), _report("new", primary=_share(150), kept=fell)]
    of = {"table=small": [f"i{n}" for n in range(15)]}
    champion, candidate = (
        replace(one, benchmarks={**one.benchmarks, "kept": replace(one.benchmarks["kept"], slices=of)})
        for one in reports
    )
    verdict = decide(GateConfig(tolerance=0.1), champion=champion, candidate=candidate)
    assert verdict.decision is Decision.REJECT
    assert any(reason.startswith("kept, table=small: -100.0 points") for reason in verdict.reasons)
    assert [one.decision for one in verdict.findings if not one.slice] == [Decision.PROMOTE, Decision.PROMOTE]


def test_a_verdict_is_plain_values_for_reports() -> None:
    verdict = _sliced(_share(100), _share(102), all=range(300))
    told = json.loads(json.dumps(verdict.as_dict()))
    assert told["decision"] == "undecided" and told["reasons"] == list(verdict.reasons)
    whole, part = told["findings"]
    assert (whole["benchmark"], whole["slice"], whole["n"], whole["decision"]) == ("primary", "", 300, "undecided")
    assert whole["delta"] == pytest.approx(2 / 300) and whole["low"] <= whole["delta"] <= whole["high"]
    assert whole["p_value"] == whole["corrected_p"] == 0.5 and whole["items_needed"] > 300
    assert (part["slice"], part["items_needed"], part["sentence"] != "") == ("family=all", None, True)


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
        (
            _with_scores(_report("new", primary=_share(9)), outputs={"i0": Output(reward=math.nan)}),
            "the reward of item i0 is nan",
        ),
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
