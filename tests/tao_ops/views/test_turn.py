"""One turn: its funnel, stages, rewards, training and verdict, as the tables and the run's files have them."""

from collections.abc import Callable
from typing import Any

import pytest

from tao_ops.database import connect
from tao_ops.errors import DataError
from tao_ops.registry import EventKind, record
from tao_ops.scoring.labels import response_id
from tao_ops.stages import Stage
from tao_ops.tables import QUARANTINE, REWARDS
from tao_ops.views.records import Estimate, StageStatus, TurnStatus, TurnView
from tao_ops.views.turn import turn_view

Days = Callable[..., Any]
NAME, NOWHERE = "tickets", "postgresql://127.0.0.1:1/tao"


def _seen(day: Any, url: str = NOWHERE) -> TurnView:
    return turn_view(day.lake, url, NAME, day.key)


def _funnel(seen: TurnView) -> dict[str, int | None]:
    return {step.noun: step.count for step in seen.funnel}


def test_the_funnel_leads_from_logged_rows_to_a_release(days: Days) -> None:
    seen = _seen(days().whole())
    assert (seen.run_id, seen.status, seen.version) == ("run-1", TurnStatus.DONE, 1)
    assert list(_funnel(seen).items()) == [
        ("logged rows", 12),
        ("queries", 10),
        ("prompts", 4),
        ("responses", 8),
        ("rewarded responses", 7),
        ("rows trained on", 5),
        ("benchmark items", 3),
        ("releases", 1),
    ]


def test_a_version_that_waits_for_an_approval_is_no_release_yet(days: Days, database_url: str) -> None:
    day = days().whole()
    about: dict[str, Any] = {"who": "run run-1", "why": "turn 2026-11-21T00:00Z: promote", "version": 1}
    with connect(database_url) as connection:
        record.ensure_tables(connection)
        for kind in (EventKind.REGISTERED, EventKind.PENDING):
            record.add(connection, NAME, kind, champions=(0, 0), **about)
    waiting = _seen(day, database_url)
    assert (_funnel(waiting)["releases"], waiting.approval) == (0, "pending")
    with connect(database_url) as connection:
        record.add(connection, NAME, EventKind.PROMOTE, champions=(0, 1), **about)
    approved = _seen(day, database_url)
    assert (_funnel(approved)["releases"], approved.approval) == (1, "approved")


def test_stages_tell_what_they_took_over_their_shards(days: Days) -> None:
    seen = _seen(days().whole())
    assert [line.stage for line in seen.stages] == [stage.value for stage in Stage]
    assert {line.status for line in seen.stages} == {StageStatus.DONE}
    generate = seen.stages[2]
    assert (generate.shards, generate.of_shards, generate.seconds, generate.tokens) == (2, 2, 120.0, 20)
    assert (generate.rows_in, generate.rows_out, generate.run_id) == (4, 8, "run-1")
    assert generate.started_at is not None and generate.finished_at is not None
    assert (generate.finished_at - generate.started_at).total_seconds() >= 60
    assert seen.started_at == seen.stages[0].started_at
    assert seen.finished_at == seen.stages[-1].finished_at


def test_a_run_that_failed_half_way_tells_what_it_did_and_what_is_of_the_run_before(days: Days) -> None:
    days().whole()
    day = days(run_id="run-2")
    day.record(Stage.INGEST, (7, 6), quarantine={})
    day.record(Stage.VALIDATE, (6, 3), quarantine={}, shards=2)
    day.generated(1)
    seen = _seen(day)
    assert (seen.run_id, seen.status) == ("run-2", TurnStatus.PARTIAL)
    found = {line.stage: (line.status, line.shards, line.run_id) for line in seen.stages}
    assert found["validate"] == (StageStatus.DONE, 1, "run-2")
    assert found["generate"] == (StageStatus.PARTIAL, 1, "run-2")
    assert found["score"] == (StageStatus.EARLIER, 2, "run-1")
    assert found["register"] == (StageStatus.EARLIER, 1, "run-1")
    counts = _funnel(seen)
    assert (counts["prompts"], counts["responses"], counts["releases"]) == (3, None, None)
    assert (seen.verdict, seen.comparisons, seen.reliability, seen.version) == (None, (), (), None)


def test_a_stage_that_was_never_recorded_is_missing(days: Days) -> None:
    day = days()
    day.record(Stage.INGEST, (7, 6), quarantine={})
    line = _seen(day).stages[1]
    assert (line.status, line.shards, line.seconds, line.rows_in) == (StageStatus.MISSING, 0, None, None)
    assert _seen(day).stages[2].of_shards is None


def test_strategies_are_added_up_over_the_shards(days: Days) -> None:
    plain, worked = _seen(days().whole()).strategies
    assert (plain.task, plain.strategy, plain.samples, plain.tokens) == ("tickets", "plain", 8, 80)
    assert (plain.passed, plain.tokens_a_pass) == (0.25, 40.0)
    assert (worked.strategy, worked.passed, worked.tokens_a_pass) == ("worked", 0.0, None)


def test_the_histogram_counts_the_rewards_of_the_table(days: Days) -> None:
    day = days().whole()
    day.ask({"a": "A?", "b": "B?"})
    day.answer([("a", "plain", 0.02), ("a", "plain", 0.03), ("b", "plain", 1.0)], shard=0)
    day.answer([("b", "worked", 0.52), ("a", "worked", None)], shard=1)
    (shown,) = _seen(day).rewards
    assert (shown.task, shown.n, shown.without) == ("tickets", 4, 1)
    assert (len(shown.edges), len(shown.counts)) == (21, 20)
    assert {place: count for place, count in enumerate(shown.counts) if count} == {0: 2, 10: 1, 19: 1}
    assert shown.mean == pytest.approx((0.02 + 0.03 + 1.0 + 0.52) / 4)


def test_a_production_response_is_in_no_histogram(days: Days) -> None:
    day = days().whole()
    day.ask({"a": "A?"})
    logged = {"response_id": response_id("a", "A logged answer."), "query_id": "a", "reward": 0.9}
    day.lake.write(REWARDS, [logged], shard=0, **day.where)
    day.answer([("a", "plain", 0.1)], shard=1)
    (shown,) = _seen(day).rewards
    assert (shown.n, sum(shown.counts[1:3])) == (1, 1)


def test_rewards_of_the_run_before_are_in_no_histogram(days: Days) -> None:
    day = days().whole()
    day.ask({"a": "A?"})
    day.answer([("a", "plain", 0.1)])
    again = days(run_id="run-2")
    again.record(Stage.INGEST, quarantine={})
    assert _seen(again).rewards == ()


def test_what_is_promised_stands_beside_what_came_true(days: Days) -> None:
    (one,) = _seen(days().whole()).reliability
    assert (one.task, one.shards, one.calibrated, one.n, one.labels) == ("tickets", (0, 1), True, 40, {"anchor": 40})
    assert (one.auroc, one.ece) == (Estimate(0.9, 0.8, 0.95), Estimate(0.06, 0.05, 0.08))
    (bin_,) = one.bins
    assert (bin_.predicted, bin_.observed, bin_.n) == (0.2, Estimate(0.1, 0.03, 0.3), 20)


def test_rewards_that_were_combined_by_rule_say_why(days: Days) -> None:
    day = days()
    rule = {"version": "product-2", "calibrator": None, "reason": "3 labels, too few labels", "report": None}
    day.record(Stage.SCORE, (4, 4), calibration={"tickets": rule})
    (one,) = _seen(day).reliability
    assert (one.calibrated, one.reason, one.n, one.ece, one.bins) == (False, "3 labels, too few labels", 0, None, ())


def test_curves_are_those_that_the_training_left(days: Days) -> None:
    day = days().whole()
    assert (_seen(day).curves, _seen(day).curves_missing) == ((), "no figures of the training are left")
    day.curves(4)
    seen = _seen(day)
    (loss,) = seen.curves
    assert (loss.name, loss.steps, loss.total, seen.curves_missing) == ("raft/loss", (1, 2, 3, 4), 4, None)
    assert loss.values == (1.0, 0.5, 1 / 3, 0.25)


def test_a_long_curve_is_thinned_and_keeps_its_end(days: Days) -> None:
    day = days().whole()
    day.curves(1203)
    (loss,) = _seen(day).curves
    assert (len(loss.steps), loss.steps[-1], loss.total) == (401, 1203, 1203)


def test_a_file_that_is_no_journal_is_told_and_hides_nothing_else(days: Days) -> None:
    day = days().whole()
    (day.folder / "training.jsonl").write_text("{}\n", encoding="utf-8")
    seen = _seen(day)
    assert seen.curves == () and "no figures of a training" in str(seen.curves_missing)
    assert seen.verdict is not None


def test_a_training_under_way_shows_its_curves(days: Days) -> None:
    day = days()
    day.record(Stage.INGEST, quarantine={})
    assert _seen(day).curves_missing is None
    day.curves(2)
    assert [curve.name for curve in _seen(day).curves] == ["raft/loss"]


def test_the_verdict_comes_in_words_and_figures(days: Days) -> None:
    verdict = _seen(days().whole()).verdict
    assert verdict is not None
    assert (verdict.decision, verdict.reasons) == ("promote", ("Better on exam.", "Nothing fell."))
    assert (verdict.test, verdict.level, verdict.approval) == (2, 0.0125, "auto")
    (finding,) = verdict.findings
    assert (finding.benchmark, finding.delta, finding.sentence) == (
        "exam",
        Estimate(0.25, 0.1, 0.4),
        "exam: better by 25 points.",
    )


def test_where_the_champion_moved_before_it_was_registered_the_verdict_is_the_second_one(days: Days) -> None:
    day = days().whole()
    day.record(Stage.REGISTER, (1, 1), model=NAME, version=1, alias=None, decision="reject")
    seen = _seen(day)
    assert seen.verdict is not None
    assert (seen.verdict.decision, seen.verdict.approval) == ("reject", "auto")
    (reason,) = seen.verdict.reasons
    assert reason.startswith("The champion moved before the candidate was registered") and "promote" in reason
    assert seen.verdict.findings == (), "they are of a comparison with the champion of before"


def test_a_comparison_counts_the_items_whose_score_changed(days: Days) -> None:
    day = days().whole()
    assert _seen(day).comparisons[0].changed is None
    day.examine([0.0, 1.0, 0.0, None], [1.0, 1.0, 1.0, 1.0])
    (one,) = _seen(day).comparisons
    assert (one.benchmark, one.primary, one.n, one.changed) == ("exam", True, 3, 2)
    assert (one.candidate, one.delta) == (Estimate(0.75, 0.65, 0.85), Estimate(0.25, 0.1, 0.4))
    (slice_,) = one.slices
    assert (slice_.slice, slice_.n, slice_.candidate, slice_.p_value) == ("kind=a", 1, 1.0, None)


def test_a_turn_without_a_benchmark_has_no_comparison(days: Days) -> None:
    day = days()
    day.record(Stage.EVALUATE, (0, 0), candidate="model-1", benchmarks=[])
    seen = _seen(day)
    assert (seen.comparisons, _funnel(seen)["benchmark items"]) == ((), 0)


def test_a_day_of_which_all_is_in_quarantine_says_why(days: Days) -> None:
    day = days()
    day.refuse("ingest", "not_json", "no_time", "not_json")
    seen = _seen(day)
    assert (seen.status, seen.run_id, seen.finished_at, seen.funnel) == (TurnStatus.NOTHING_IN, None, None, ())
    assert [(line.stage, line.reason, line.count) for line in seen.quarantine] == [
        ("ingest", "not_json", 2),
        ("ingest", "no_time", 1),
    ]
    assert sum(line.count for line in seen.quarantine) == day.lake.count(QUARANTINE, turn=day.key)
    assert {line.status for line in seen.stages} == {StageStatus.MISSING}


def test_what_an_earlier_release_did_not_keep_is_absent_and_not_zero(days: Days) -> None:
    day = days()
    for stage in Stage:
        told = {"decision": "reject"} if stage is Stage.GATE else {}
        day.record(stage, (4, 4), **told)
    seen = _seen(day)
    assert _funnel(seen)["rewarded responses"] is None
    assert (seen.strategies, seen.reliability, seen.comparisons) == ((), (), ())
    assert seen.verdict is not None and (seen.verdict.reasons, seen.verdict.test) == ((), None)


def test_an_unknown_turn_is_refused_with_those_that_are_known(days: Days) -> None:
    day = days().whole()
    with pytest.raises(DataError, match="tickets has no turn '2026-11-22'.*from 2026-11-21T00:00Z"):
        turn_view(day.lake, NOWHERE, NAME, "2026-11-22")
    with pytest.raises(DataError, match="no turn of flywheel 'others'"):
        turn_view(day.lake, NOWHERE, "others", day.key)
    with pytest.raises(DataError, match="has no turn"):
        turn_view(day.lake, NOWHERE, NAME, "' or 1=1 --")
