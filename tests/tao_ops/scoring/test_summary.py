"""What is told of a turn's rewards, over all its shards."""

import json
from typing import Any

import pytest

from tao_ops import turns
from tao_ops.records import StageReport
from tao_ops.scoring import summary
from tao_ops.scoring.labels import response_id
from tao_ops.stages import generate, ingest, score, validate
from tao_ops.tables import PROMPTS, REWARDS
from tests.tao_ops.conftest import TEXTS

Shop = Any


def _calibration(n: int = 0, *, version: str = "v1", **figures: float) -> dict[str, Any]:
    estimates = {name: {"value": value, "low": 0.0, "high": 1.0} for name, value in figures.items()}
    report = {"n": n, "queries": 1, "labels": {"anchor": n}, "base_rate": 0.5, "ece_by_chance": 0.1, **estimates}
    return {"version": version, "calibrator": {"names": []}, "reason": "fitted", "report": report if n else None}


def _row(shard: int, task: str = "tickets", **metrics: Any) -> dict[str, Any]:
    told = {"calibration": _calibration(), **metrics}
    return {"shard": shard, "metrics": json.dumps({name: {task: value} for name, value in told.items()})}


def test_rows_of_a_release_before_rewards_were_calibrated_tell_nothing() -> None:
    assert summary.told([{"shard": 0, "metrics": json.dumps({"mean_reward": 0.5, "flags": {}})}]) == {}


def test_a_calibration_that_all_shards_share_is_told_once() -> None:
    same, other = _calibration(30, auroc=0.9), _calibration(31, version="v2", auroc=0.8)
    rows = [_row(shard, calibration=one) for shard, one in enumerate((same, other, same))]
    told = summary.told(rows)["tickets"]
    assert told["shards"] == 3
    assert [(one["shards"], one["version"], one["n"]) for one in told["calibrations"]] == [
        ([0, 2], "v1", 30),
        ([1], "v2", 31),
    ]
    assert told["calibrations"][0] | {"shards": []} == {
        "shards": [],
        "version": "v1",
        "calibrated": True,
        "reason": "fitted",
        "n": 30,
        "labels": {"anchor": 30},
        "base_rate": 0.5,
        "auroc": {"value": 0.9, "low": 0.0, "high": 1.0},
        "brier": None,
        "ece": None,
        "ece_by_chance": 0.1,
    }


def test_counts_are_added_and_warnings_name_their_shards() -> None:
    length = {"name": "length", "value": 0.7, "level": "warn", "sentence": "long"}
    spread = {"name": "no_spread", "value": 1.0, "level": "fail", "sentence": "equal"}
    rows = [
        _row(
            0,
            undecided={"judge": {"undecided": 2, "no reference": 1}},
            barred=["judge"],
            probes={"probes": 10, "fallen": [["judge", "empty"]]},
            monitors={"measured": {}, "findings": [length]},
        ),
        _row(
            1,
            undecided={"judge": {"no reference": 4}, "consensus": {"undecided": 1}},
            barred=["judge"],
            probes={"probes": 5, "fallen": [["judge", "master key"], ["judge", "empty"]]},
            monitors={"measured": {}, "findings": [{**length, "value": 0.8}, spread]},
        ),
        _row(2, task="invoices"),
    ]
    told = summary.told(rows)
    assert list(told) == ["tickets", "invoices"] and told["invoices"]["shards"] == 1
    tickets = told["tickets"]
    assert list(tickets["undecided"]["judge"].items()) == [("no reference", 5), ("undecided", 2)]
    assert tickets["undecided"]["consensus"] == {"undecided": 1}
    assert (tickets["barred"], tickets["probes"]) == ({"judge": [0, 1]}, 15)
    assert tickets["fell_for"] == {"judge": ["empty", "master key"]}
    assert tickets["monitors"] == [{**spread, "shards": [1]}, {**length, "shards": [0, 1]}]


def test_figures_are_weighted_by_labels_and_only_of_this_run(shop: Shop) -> None:
    by_shard = [_calibration(30, auroc=0.9, brier=0.1), _calibration(10, auroc=0.5), _calibration()]
    for shard, one in enumerate(by_shard):
        turns.record(shop.run(shard=shard), StageReport("score", metrics={"calibration": {"tickets & co": one}}))
    run = shop.run()
    assert summary.figures(run.lake, run.turn, run.run_id) == {
        "reward.tickets-co.labels": pytest.approx(40 / 3),
        "reward.tickets-co.auroc": pytest.approx(0.8),
        "reward.tickets-co.brier": pytest.approx(0.1),
    }
    assert summary.figures(run.lake, run.turn, "manual__2") == {}


def test_the_mean_is_over_responses_of_the_task_that_have_a_reward(shop: Shop) -> None:
    run = shop.run()
    prompt = {"messages": [], "count": 1, "cluster": "c", "split": "train"}
    prompts = [{"query_id": "q1", "task": "tickets", **prompt}, {"query_id": "q2", "task": "invoices", **prompt}]
    run.lake.write(PROMPTS, prompts, turn=run.turn, run_id=run.run_id)
    given = [("a", "q1", 0.2), ("b", "q1", None), ("c", "q2", 1.0), (response_id("q1", "what users saw"), "q1", 1.0)]
    for shard, some in enumerate((given, [("d", "q1", 0.6)])):
        rest = {"scores": [], "undecided": [], "flags": [], "calibrator_version": "v"}
        rows = [{"response_id": r, "query_id": q, "reward": reward, **rest} for r, q, reward in some]
        run.lake.write(REWARDS, rows, turn=run.turn, run_id=run.run_id, shard=shard)
    both = {"tickets": _calibration(), "invoices": _calibration()}
    turns.record(run, StageReport("score", metrics={"calibration": both}))
    figures = summary.figures(run.lake, run.turn, run.run_id)
    assert figures == {
        "reward.tickets.labels": 0.0,
        "reward.tickets.mean": pytest.approx(0.4),
        "reward.invoices.labels": 0.0,
        "reward.invoices.mean": 1.0,
    }


def test_what_score_records_is_understood(shop: Shop) -> None:
    shop.log(TEXTS)
    run = shop.run()
    for stage in (ingest, validate, generate, score):
        turns.record(run, stage.run(run))
    shown = turns.show(run.lake, run.turn)
    (calibration,) = shown["rewards"]["tickets"]["calibrations"]
    assert calibration["reason"].startswith("0 labels, too few labels") and calibration["n"] == 0
    assert shown["rewards"]["tickets"]["probes"] > 0
    mean = shown["stages"]["score"]["metrics"]["mean_reward"]
    figures = summary.figures(run.lake, run.turn, run.run_id)
    assert figures == {"reward.tickets.labels": 0.0, "reward.tickets.mean": pytest.approx(mean)}
    assert json.dumps(shown)
