"""The gate reads what evaluate left and writes a verdict, or says what is missing."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tao_ops.errors import IncomparableReports, MissingInput
from tao_ops.files import read_json, write_json
from tao_ops.stages import gate
from tao_ops.tables import EVALUATIONS

LOW, HIGH = [1.0] * 3 + [0.0] * 97, [1.0] * 60 + [0.0] * 40
NewTurn = Callable[..., Any]


def _keep_arm(judged: Any, arm: str) -> None:
    rows = judged.run.lake.read(EVALUATIONS, turn=judged.run.turn.key, arm=arm).to_pylist()
    judged.run.lake.write(EVALUATIONS, rows, turn=judged.run.turn, run_id=judged.run.run_id)


def test_a_better_candidate_is_promoted(new_turn: NewTurn) -> None:
    judged = new_turn()
    judged.evaluate(LOW, HIGH)
    said: list[str] = []
    report = gate.run(replace(judged.run, say=said.append))
    verdict = read_json(judged.folder / "verdict.json")
    assert verdict["decision"] == "promote"
    assert verdict["champion"]["model_version"] == "base" and verdict["candidate"]["model_version"] == "cand"
    assert {key: report.metrics[key] for key in ("decision", "reasons")} == {
        "decision": "promote",
        "reasons": verdict["reasons"],
    }
    assert "+57.0 points over 100 items" in verdict["reasons"][0]
    assert said == [f"promote: {reason}" for reason in verdict["reasons"]]
    assert json.dumps(report.as_dict())


def test_a_no_is_a_result(new_turn: NewTurn) -> None:
    judged = new_turn()
    judged.evaluate(HIGH, LOW)
    assert gate.run(judged.run).metrics["decision"] == "reject"
    judged.evaluate(HIGH, HIGH)
    assert gate.run(judged.run).metrics["decision"] == "undecided"
    judged.evaluate(LOW, HIGH, parameters=1)
    assert gate.run(judged.run).metrics["decision"] == "reject"


def test_a_champions_scores_may_be_of_an_earlier_turn(new_turn: NewTurn) -> None:
    before, today = new_turn(20), new_turn(21)
    before.evaluate(LOW, HIGH)
    today.evaluate(HIGH, LOW, versions=("cand", "next"))
    _keep_arm(today, "candidate")
    assert gate.run(today.run).metrics["decision"] == "reject"


def test_without_evaluate_it_says_so(new_turn: NewTurn) -> None:
    judged = new_turn()
    with pytest.raises(MissingInput, match=r"report\.json is missing .* run evaluate first"):
        gate.run(judged.run)
    judged.evaluate(LOW, HIGH)
    rows = judged.run.lake.read(EVALUATIONS).to_pylist()
    kept = [row for row in rows if (row["arm"], row["item_id"]) != ("candidate", "i7")]
    judged.run.lake.write(EVALUATIONS, kept, turn=judged.run.turn, run_id=judged.run.run_id)
    with pytest.raises(MissingInput, match="99 of 100 scores of model cand on tickets"):
        gate.run(judged.run)
    assert not (judged.folder / "verdict.json").exists()


def test_scores_of_another_prompt_do_not_count(new_turn: NewTurn) -> None:
    judged = new_turn()
    judged.evaluate(LOW, HIGH)
    path = judged.folder / "report.json"
    write_json(path, {**read_json(path), "prompt_digests": {"tickets": "other"}})
    with pytest.raises(MissingInput, match="0 of 100 scores of model base"):
        gate.run(judged.run)


def test_a_score_that_is_no_number_stops_the_gate(new_turn: NewTurn) -> None:
    judged = new_turn()
    judged.evaluate(LOW, [float("nan"), *HIGH[1:]])
    with pytest.raises(IncomparableReports, match="the score of item i0 is nan"):
        gate.run(judged.run)
    assert not (judged.folder / "verdict.json").exists()
