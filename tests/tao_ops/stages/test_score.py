"""Every response gets one reward, without labels."""

import json
from typing import Any

import pytest

from tao_ops.errors import MissingInput
from tao_ops.stages import generate, ingest, score, validate
from tao_ops.tables import RESPONSES, REWARDS

Shop = Any


@pytest.fixture
def generated(shop: Shop) -> Shop:
    shop.log()
    for stage in (ingest, validate, generate):
        stage.run(shop.run())
    return shop


def _rewards(shop: Shop) -> dict[str, dict[str, Any]]:
    return {row["response_id"]: row for row in shop.run().lake.read(REWARDS).to_pylist()}


def test_right_answers_are_rewarded_and_others_are_not(generated: Shop) -> None:
    report = score.run(generated.run())
    rows = _rewards(generated)
    assert len(rows) == report.rows_in == report.rows_out
    for response_id, row in rows.items():
        # Four of a query's five candidates agree.
        assert row["reward"] == pytest.approx(0.9 if "demonstrations" in response_id else 0.0)
        assert set(dict(row["scores"])) == {"strict_json", "grounding", "consensus"} and row["flags"] == []
    assert report.metrics["mean_best_reward"] == pytest.approx(0.9)
    assert report.metrics["queries_without_reward"] == 0
    assert report.metrics["mean_scores"]["strict_json"] == pytest.approx(0.8)
    assert json.dumps(report.as_dict())


def test_running_again_replaces_the_rows(generated: Shop) -> None:
    score.run(generated.run())
    before = _rewards(generated)
    score.run(generated.run(run_id="manual__2"))
    after = _rewards(generated)
    assert {key: {**row, "run_id": "manual__1"} for key, row in after.items()} == before
    assert generated.run().lake.read(REWARDS).num_rows == len(before)


def test_empty_and_truncated_responses_are_flagged(generated: Shop) -> None:
    run = generated.run()
    rows = sorted(run.lake.read(RESPONSES).to_pylist(), key=lambda row: row["response_id"])
    rows[0] |= {"answer": "", "text": " "}
    rows[1] |= {"finish_reason": "length"}
    run.lake.write(RESPONSES, rows, turn=run.turn, run_id=run.run_id, shard=0)
    score.run(run)
    rewards = _rewards(generated)
    assert rewards[rows[0]["response_id"]]["flags"] == ["empty"]
    assert rewards[rows[0]["response_id"]]["reward"] == 0.0
    assert rewards[rows[1]["response_id"]]["flags"] == ["truncated"]


def test_before_generate_it_says_so(shop: Shop) -> None:
    with pytest.raises(MissingInput, match="run validate first"):
        score.run(shop.run())
    shop.log()
    for stage in (ingest, validate):
        stage.run(shop.run())
    before = shop.versions()
    with pytest.raises(MissingInput, match=r"\[shard 0\] — run generate again"):
        score.run(shop.run())
    assert shop.versions() == before


def test_responses_to_other_prompts_are_refused(generated: Shop) -> None:
    generated.log([f"{name} here, my tent never came to Bonn." for name in ("Uma", "Vic", "Wim")])
    for stage in (ingest, validate):
        stage.run(generated.run())
    before = generated.versions()
    with pytest.raises(MissingInput, match="do not belong to these prompts"):
        score.run(generated.run())
    assert generated.versions() == before
