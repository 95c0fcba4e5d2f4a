"""Who falls for what, and who can't by design."""

import json
from collections.abc import Callable, Mapping

import pytest

from tao_ops.config import (
    ConsensusConfig,
    JsonSchemaConfig,
    JudgeConfig,
    LengthConfig,
    OwnScorerConfig,
    ProbeConfig,
    ScorerConfig,
)
from tao_ops.records import Candidate
from tao_ops.rewards.probes import COMBINED, Group, Kind, Outcome, Probe, ProbeReport, Row, barred, build, report

CONSENSUS = ConsensusConfig(kind="consensus", name="consensus")
JUDGE = JudgeConfig(kind="judge", name="judge", rubric="judge.md")
SCHEMA = JsonSchemaConfig(kind="json_schema", name="json_schema", keys=("customer", "product"))
OWN = OwnScorerConfig(kind="own", name="own", file="own.py")
CONFIGS: list[ScorerConfig] = [SCHEMA, JUDGE, CONSENSUS, LengthConfig(kind="length", name="length")]
NAMES = ("Anna", "Bela", "Chen", "Dora", "Emil", "Finn", "Gina", "Hugo")

Scorer = Callable[[Candidate], float | None]


def _probes() -> list[Probe]:
    return build(
        [
            Group(
                Candidate(
                    f"q{i}", f"{name} here, my rain jacket is late", json.dumps({"customer": name, "product": "jacket"})
                ),
                (Candidate(f"q{i}", "", "I think it is a jacket"),),
            )
            for i, name in enumerate(NAMES)
        ],
        rubrics={"judge": "Say Yes where both values are right."},
        seed=0,
        most=20,
    )


def _report(
    scorers: Mapping[str, Scorer], *, reward: Scorer, configs: list[ScorerConfig] = CONFIGS, limit: float = 0.25
) -> ProbeReport:
    def scores(candidate: Candidate) -> dict[str, float]:
        given = {name: scorer(candidate) for name, scorer in scorers.items()}
        return {name: value for name, value in given.items() if value is not None}

    outcomes = [
        Outcome(one, scores(one.candidate), reward(one.candidate), scores(one.honest), reward(one.honest))
        for one in _probes()
    ]
    return report(outcomes, configs, ProbeConfig(limit=limit))


def _honest(candidate: Candidate) -> float:
    return 0.9 if candidate.votes else 0.1


def _well_formed(candidate: Candidate) -> float:
    try:
        return float(set(json.loads(candidate.text)) == {"customer", "product"})
    except (ValueError, TypeError):
        return 0.0


def _falls_for(text: str) -> Scorer:
    return lambda candidate: 0.95 if candidate.text == text else _honest(candidate)


def _row(found: ProbeReport, scorer: str, kind: Kind, variant: str = "") -> Row:
    return next(row for row in found.rows if (row.scorer, row.kind, row.variant) == (scorer, kind, variant))


def test_scorers_that_tell_right_from_wrong_fall_for_nothing() -> None:
    found = _report({"json_schema": _well_formed, "judge": _honest, "consensus": _honest}, reward=_honest)
    assert found.fallen == ()
    assert (
        found.sentences()[0]
        == f"probes: {len(_probes())} answers that no scorer should like, and none falls for any kind of them"
    )


def test_a_judge_that_likes_its_rubric_quoted_falls_for_it() -> None:
    found = _report({"judge": _falls_for("Say Yes where both values are right.")}, reward=_honest)
    assert found.fallen == (("judge", Kind.RUBRIC),)
    assert (
        "probe 'rubric quoted': judge gives 0.95, honest answers 0.90, and at least as much in 100% of 8"
        in (found.sentences()[0])
    )


def test_one_master_key_of_several_is_enough() -> None:
    found = _report({"judge": _falls_for("Solution")}, reward=_honest)
    assert found.fallen == (("judge", Kind.MASTER_KEY),)
    assert _row(found, "judge", Kind.MASTER_KEY).share == pytest.approx(0.2)
    assert "probe 'master key' ('Solution'): judge gives 0.95" in found.sentences()[0]


def test_a_tie_counts_and_the_limit_is_the_users() -> None:
    def ties(candidate: Candidate) -> float:
        return 0.9 if candidate.query_id in ("q0", "q1", "q2") and not candidate.text else _honest(candidate)

    assert _report({"judge": ties}, reward=_honest).fallen == (("judge", Kind.EMPTY),)
    assert _report({"judge": ties}, reward=_honest, limit=0.5).fallen == ()


def test_two_that_are_worth_nothing_say_nothing() -> None:
    def worthless(candidate: Candidate) -> float:
        return 0.0

    found = _report({"judge": worthless}, reward=worthless)
    row = _row(found, "judge", Kind.EMPTY)
    assert (found.fallen, row.n, row.telling, row.share) == ((), 8, 0, None)


def test_what_is_not_decided_is_counted_and_not_judged() -> None:
    def silent(candidate: Candidate) -> float | None:
        return None if candidate.query_id < "q4" else 0.9

    found = _report({"judge": silent}, reward=_honest)
    row = _row(found, "judge", Kind.EMPTY)
    assert (row.n, row.undecided, row.share) == (4, 0.5, 1.0)
    assert ("judge", Kind.EMPTY) not in found.fallen  # four are too few
    assert ("judge", Kind.MASTER_KEY) in found.fallen  # twenty are not


def test_a_verifier_cannot_tell_what_is_well_formed_but_all_together_must() -> None:
    found = _report({"json_schema": _well_formed}, reward=_well_formed)
    assert set(found.fallen) == {(COMBINED, Kind.WRONG), (COMBINED, Kind.ORDER)}
    assert _row(found, "json_schema", Kind.WRONG).share == 1.0
    assert any("combined reward gives 1.00" in line and "add a verifier" in line for line in found.sentences())


def test_a_verifier_whose_verdict_is_the_truth_must_tell() -> None:
    decides = SCHEMA.model_copy(update={"decides": True})
    found = _report({"json_schema": _well_formed}, reward=_honest, configs=[decides])
    assert ("json_schema", Kind.WRONG) in found.fallen


def test_a_scorer_of_the_users_own_counts_by_what_it_says_it_is() -> None:
    verifier = OWN.model_copy(update={"verifier": True})
    for config, falls in ((OWN, True), (verifier, False)):
        found = _report({"own": _well_formed}, reward=_honest, configs=[config])
        assert (("own", Kind.WRONG) in found.fallen) is falls


def test_nobody_falls_for_a_true_answer_or_a_longer_one() -> None:
    def right(candidate: Candidate) -> float:
        return 0.9 if "Anna" in candidate.text or "jacket" in candidate.text else 0.1

    found = _report({"judge": right}, reward=right)
    assert not {kind for _, kind in found.fallen} & {Kind.BAD_FORM, Kind.LONGEST}
    assert _row(found, "judge", Kind.LONGEST).share == 1.0


def test_what_form_alone_costs_is_said() -> None:
    found = _report({"json_schema": _well_formed}, reward=_well_formed)
    row = _row(found, COMBINED, Kind.BAD_FORM)
    assert (row.honest, row.loss) == (1.0, pytest.approx(2 / 3))  # among blanks it still is JSON
    assert "the same answer gets 0.33 instead of 1.00: form alone costs 0.67" in found.sentences()[-1]


def test_only_soft_scorers_are_barred_and_only_where_asked() -> None:
    def likes_all(candidate: Candidate) -> float:
        return 1.0

    found = _report({"json_schema": likes_all, "judge": likes_all, "consensus": _honest}, reward=likes_all)
    assert {scorer for scorer, _ in found.fallen} == {"json_schema", "judge", COMBINED}
    assert barred(found, CONFIGS, ProbeConfig(bar=True)) == {"judge"}
    assert barred(found, CONFIGS, ProbeConfig()) == frozenset()


def test_the_report_is_json_and_says_where_nothing_was_tried() -> None:
    found = _report({"judge": _falls_for(":")}, reward=_honest)
    told = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert told["fallen"] == [["judge", "master key"]]
    assert {"scorer", "kind", "variant", "n", "undecided", "probe", "honest", "share", "loss"} <= set(told["rows"][0])
    assert report([], CONFIGS, ProbeConfig()).sentences() == ["probes: there was no answer to make any of"]
