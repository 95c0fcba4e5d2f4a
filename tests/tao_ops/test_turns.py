"""What the table of turns tells, as people and programs read it."""

from dataclasses import replace
from typing import Any

import pytest

from tao_ops import turns
from tao_ops.errors import MissingInput
from tao_ops.exploration import Yield, told
from tao_ops.records import StageReport
from tao_ops.stages import Stage

Shop = Any
LINE = {"name": "exam", "metric": "exact_json", "n": 6, "champion": 0.0, "candidate": 1.0, "primary": True}
VERDICT = {
    "decision": "promote",
    "reasons": ["Better."],
    "findings": [],
    "test": 1,
    "level": 0.02,
    "approval": "auto",
}
RELEASE = {"model": "shop", "version": 1, "alias": "champion", "decision": "promote"}
METRICS: dict[Stage, dict[str, Any]] = {
    Stage.EVALUATE: {"benchmarks": [LINE]},
    Stage.GATE: VERDICT,
    Stage.REGISTER: RELEASE,
}


def _record(run: Any, *stages: Stage) -> None:
    for stage in stages or Stage:
        report = StageReport(stage.value, rows_in=10, rows_out=4, seconds=1.26, metrics=METRICS.get(stage, {"a": 1}))
        turns.record(run, report)


def test_a_turn_is_shown_as_the_interface_says(shop: Shop) -> None:
    run = shop.run()
    _record(run)
    shown = turns.show(run.lake, run.turn)
    assert list(shown["stages"]) == [stage.value for stage in Stage]
    assert shown["stages"]["update"] == {"rows_in": 10, "rows_out": 4, "seconds": 1.3, "metrics": {"a": 1}}
    assert {key: value for key, value in shown.items() if key != "stages"} == {
        "flywheel": "shop",
        "turn": "2026-11-21T00:00Z",
        "exploration": {},
        "rewards": {},
        "update": {},
        "report": {"benchmarks": [LINE]},
        "verdict": VERDICT,
        "release": {"model": "shop", "version": 1, "alias": "champion"},
    }


def test_what_strategies_found_is_added_up_over_the_shards(shop: Shop) -> None:
    with pytest.raises(MissingInput, match="nothing was explored in this turn .* run generate first"):
        turns.exploration(shop.run().lake, shop.run().turn)
    for shard, passed in enumerate((1, 2)):
        metrics = {"yields": told({"tickets": {"plain": Yield(4, 40, passed, passed)}})}
        turns.record(shop.run(shard=shard), StageReport("generate", metrics=metrics))
    run = shop.run()
    assert turns.exploration(run.lake, run.turn) == {"tickets": {"plain": Yield(8, 80, 3, 3)}}
    assert turns.show(run.lake, run.turn)["exploration"]["tickets"]["plain"]["pass_rate"] == 3 / 8


def test_what_rewards_are_made_by_is_told_of_all_shards(shop: Shop) -> None:
    rule = {"version": "product-2", "calibrator": None, "reason": "3 labels, too few labels", "report": None}
    for shard in range(2):
        undecided = {"tickets": {"judge": {"no reference": 1 + shard}}}
        metrics = {"calibration": {"tickets": rule}, "undecided": undecided}
        turns.record(shop.run(shard=shard), StageReport("score", metrics=metrics))
    told = turns.show(shop.run().lake, shop.run().turn)["rewards"]["tickets"]
    assert [(one["shards"], one["reason"]) for one in told["calibrations"]] == [([0, 1], rule["reason"])]
    assert told["undecided"] == {"judge": {"no reference": 3}}


def test_how_the_training_went_is_told_by_method(shop: Shop) -> None:
    measured = [{"step": 0, "reward": 0.25, "kl": 0.0, "entropy": 0.5, "length": 20.0}]
    measured.append({"step": 6, "reward": 0.75, "kl": 1.5, "entropy": 0.125, "length": 16.0})
    raft = {"steps": 9, "kept_step": 6, "stopped": "why", "loss_first": 2.0, "loss_last": 0.5, "holdout": measured}
    run = shop.run()
    turns.record(run, StageReport("update", metrics={"candidate": "c", **raft, "methods": {"raft": raft}}))
    assert turns.show(run.lake, run.turn)["update"] == {
        "raft": {
            "steps": 9,
            "kept_step": 6,
            "stopped": "why",
            "loss": {"first": 2.0, "last": 0.5},
            "reward": {"first": 0.25, "kept": 0.75},
            "kl": {"first": 0.0, "kept": 1.5},
            "entropy": {"first": 0.5, "kept": 0.125},
            "length": {"first": 20.0, "kept": 16.0},
        }
    }


def test_a_turn_that_never_ran_is_shown_empty(shop: Shop) -> None:
    run = shop.run()
    assert turns.show(run.lake, run.turn) == {
        "flywheel": "shop",
        "turn": "2026-11-21T00:00Z",
        "stages": {},
        "exploration": {},
        "rewards": {},
        "update": {},
        "report": {"benchmarks": []},
        "verdict": None,
        "release": None,
    }
    assert turns.list_turns(run.lake, "shop") == []


def test_shards_of_a_stage_are_added_up(shop: Shop) -> None:
    run = shop.run()
    for shard in range(3):
        _record(replace(run, shard=shard), Stage.GENERATE)
    assert turns.show(run.lake, run.turn)["stages"]["generate"] == {
        "rows_in": 30,
        "rows_out": 12,
        "seconds": 3.8,
        "metrics": {"shards": [{"a": 1}] * 3},
    }


def test_a_verdict_of_the_run_before_is_not_this_runs(shop: Shop) -> None:
    _record(shop.run())
    run = shop.run(run_id="manual__2")
    _record(run, Stage.INGEST)
    shown = turns.show(run.lake, run.turn)
    assert (shown["verdict"], shown["release"], shown["report"]) == (None, None, {"benchmarks": []})
    (summary,) = turns.list_turns(run.lake, "shop")
    assert (summary["run_id"], summary["stages"], summary["decision"], summary["version"]) == (
        "manual__2",
        1,
        None,
        None,
    )


def test_turns_are_listed_oldest_first(shop: Shop) -> None:
    for day in (22, 20, 21):
        _record(shop.run(day))
    listed = turns.list_turns(shop.run().lake, "shop")
    assert [row["turn"] for row in listed] == [f"2026-11-{day}T00:00Z" for day in (20, 21, 22)]
    assert {(row["stages"], row["decision"], row["version"]) for row in listed} == {(8, "promote", 1)}
    assert set(listed[0]) == {"turn", "run_id", "stages", "finished_at", "decision", "version"}
    assert turns.list_turns(shop.run().lake, "other") == []


def test_the_newest_run_is_the_one_that_took_the_queries(shop: Shop) -> None:
    run = shop.run()
    assert turns.newest_run_id(run.lake, run.turn) is None
    _record(shop.run(run_id="manual__1"), Stage.INGEST)
    _record(shop.run(run_id="manual__2"), Stage.INGEST)
    _record(shop.run(run_id="manual__1"), Stage.UPDATE)
    assert turns.newest_run_id(run.lake, run.turn) == "manual__2"


@pytest.mark.parametrize(
    ("then", "stands"),
    [
        ([], True),
        ([Stage.VALIDATE], False),
        ([Stage.VALIDATE, Stage.GENERATE], True),
    ],
)
def test_a_shard_is_finished_until_what_it_read_is_made_again(shop: Shop, then: list[Stage], stands: bool) -> None:
    run = shop.run()
    _record(run, Stage.VALIDATE, Stage.GENERATE, *then)
    assert (turns.finished(run, Stage.GENERATE) is not None) is stands
    assert turns.finished(replace(run, shard=1), Stage.GENERATE) is None
    assert turns.finished(shop.run(run_id="manual__2"), Stage.GENERATE) is None


def test_a_score_is_finished_until_its_shard_is_generated_again(shop: Shop) -> None:
    run = shop.run()
    _record(run, Stage.VALIDATE, Stage.GENERATE, Stage.SCORE)
    assert turns.finished(run, Stage.SCORE) is not None
    _record(run, Stage.GENERATE)
    assert turns.finished(run, Stage.SCORE) is None
