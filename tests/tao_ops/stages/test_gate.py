"""The gate reads what evaluate left and writes a verdict, or says what is missing."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tao_ops.benchmarks.spending import level
from tao_ops.config import Approval, GateConfig
from tao_ops.errors import IncomparableReports, MissingInput, RegistryError
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


def _tell(judged: Any, **more: Any) -> None:
    path = judged.folder / "report.json"
    write_json(path, {**read_json(path), **more})


def test_the_verdict_holds_what_it_is_made_of(new_turn: NewTurn) -> None:
    judged = new_turn()
    judged.evaluate(LOW, HIGH)
    metrics = gate.run(judged.run).metrics
    verdict = read_json(judged.folder / "verdict.json")
    assert (verdict["test"], verdict["level"], verdict["approval"]) == (1, level(0.05, 1), "auto")
    (finding,) = verdict["findings"]
    assert (finding["benchmark"], finding["slice"], finding["n"], finding["decision"]) == (
        "tickets",
        "",
        100,
        "promote",
    )
    assert all(metrics[key] == verdict[key] for key in ("findings", "test", "level", "approval"))


def test_each_candidate_of_the_month_is_tested_at_a_lower_level_and_counts_once(new_turn: NewTurn) -> None:
    first, second = new_turn(20), new_turn(21)
    first.evaluate(HIGH, HIGH, versions=("base", "one"))
    second.evaluate(HIGH, HIGH, versions=("base", "two"))
    found = [gate.run(judged.run).metrics for judged in (first, second, first, second)]
    assert [one["test"] for one in found] == [1, 2, 1, 2]
    assert found[1]["level"] == level(0.05, 2) < found[0]["level"]
    new_champion = new_turn(22)
    new_champion.evaluate(HIGH, HIGH, versions=("one", "three"), champion_version=1)
    assert gate.run(new_champion.run).metrics["test"] == 1


def test_a_person_may_have_the_last_word(new_turn: NewTurn) -> None:
    judged = new_turn()
    manual = judged.run.flywheel.model_copy(update={"gate": GateConfig(approval=Approval.MANUAL)})
    run = replace(judged.run, flywheel=manual)
    judged.evaluate(LOW, HIGH)
    assert gate.run(run).metrics["approval"] == "pending"
    assert read_json(judged.folder / "verdict.json")["approval"] == "pending"
    assert "It waits for an approval." in (judged.folder / "report.md").read_text(encoding="utf-8")
    judged.evaluate(HIGH, LOW)
    assert gate.run(run).metrics["approval"] == "auto", "a no needs no approval"


def test_in_a_dry_run_nobody_is_asked(new_turn: NewTurn) -> None:
    judged = new_turn()
    dry = {"dry_run": True, "gate": GateConfig(approval=Approval.MANUAL)}
    run = replace(judged.run, flywheel=judged.run.flywheel.model_copy(update=dry))
    judged.evaluate(LOW, HIGH)
    assert gate.run(run).metrics["approval"] == "dry run"
    assert "waits for an approval" not in (judged.folder / "report.md").read_text(encoding="utf-8")


def test_a_report_is_written_for_a_person(new_turn: NewTurn) -> None:
    judged = new_turn()
    judged.evaluate(LOW, HIGH)
    gate.run(judged.run)
    page = (judged.folder / "report.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {judged.run.flywheel.name}, turn 2026-11-21T00:00Z: promote\n")
    assert "the base model (`base`)" in page and "+57.0 points over 100 items" in page
    assert "| tickets (exact_json, primary) | 100 | 3.0 % | – | 60.0 % |" in page
    assert "- queries of the turn: 0" in page and "- rows trained on: 20" in page and page.count("\n## ") == 4


def test_a_slice_that_fell_is_found_though_the_mean_rose(new_turn: NewTurn) -> None:
    judged = new_turn()
    tea = [1.0] * 15
    judged.evaluate([*tea, *LOW[:85]], [*[0.0] * 15, *HIGH[:60], *HIGH[:25]])
    _tell(judged, slice_items={"tickets": {"family=tea": [f"i{n}" for n in range(15)]}})
    metrics = gate.run(judged.run).metrics
    assert metrics["decision"] == "reject"
    assert any("family=tea" in reason and "worse" in reason for reason in metrics["reasons"])
    assert [one["slice"] for one in metrics["findings"]] == ["", "family=tea"]


def test_a_candidate_that_was_trained_on_the_exam_is_refused(new_turn: NewTurn) -> None:
    judged = new_turn()
    judged.evaluate(LOW, HIGH)
    _tell(judged, contaminated=3)
    metrics = gate.run(judged.run).metrics
    assert metrics["decision"] == "reject" and "trained on 3 benchmark items" in metrics["reasons"][0]


def test_a_candidate_of_a_reward_that_falls_for_a_probe_is_refused(new_turn: NewTurn) -> None:
    judged = new_turn()
    judged.evaluate(LOW, HIGH)
    fall = {"task": "tickets", "scorer": "tone", "probe": "master key", "share": 0.9, "comparisons": 20, "turn": "t1"}
    _tell(judged, fallen=[fall])
    metrics = gate.run(judged.run).metrics
    assert metrics["decision"] == "reject"
    assert "tickets: tone fell for the probe 'master key' in turn t1" in metrics["reasons"][0]
    page = (judged.folder / "report.md").read_text(encoding="utf-8")
    assert "| tickets | tone | master key | 90.0 % of 20 | t1 |" in page
    _tell(judged, fallen=[{**fall, "share": 0.4}])
    assert gate.run(judged.run).metrics["decision"] == "promote"


@pytest.mark.parametrize(
    ("key", "one", "other", "said"),
    [
        ("tokens", 10, 40, "40.0 tokens on average"),
        ("flags", [], ["repeated"], "repeat themselves"),
        ("reward", 0.0, 1.0, "the reward has a hole"),
    ],
)
def test_what_outputs_have_become_is_refused(new_turn: NewTurn, key: str, one: Any, other: Any, said: str) -> None:
    judged = new_turn()
    judged.evaluate(HIGH, HIGH if key == "reward" else [1.0] * 100)
    rows = judged.run.lake.read(EVALUATIONS).to_pylist()
    plain = {"tokens": 10, "flags": [], "reward": 0.5}
    told = [{**row, **plain, key: one if row["arm"] == "champion" else other} for row in rows]
    judged.run.lake.write(EVALUATIONS, told, turn=judged.run.turn, run_id=judged.run.run_id)
    metrics = gate.run(judged.run).metrics
    assert metrics["decision"] == "reject" and any(said in reason for reason in metrics["reasons"])


def test_a_benchmark_that_changed_between_the_arms_stops_the_gate(new_turn: NewTurn) -> None:
    judged = new_turn()
    judged.evaluate(LOW, HIGH)
    rows = judged.run.lake.read(EVALUATIONS).to_pylist()
    changed = [{**row, "benchmark_version": "v2"} if row["arm"] == "candidate" else row for row in rows]
    judged.run.lake.write(EVALUATIONS, changed, turn=judged.run.turn, run_id=judged.run.run_id)
    with pytest.raises(MissingInput, match="0 of 100 scores of model cand on tickets are stored .* run evaluate again"):
        gate.run(judged.run)


def test_a_gate_that_fails_leaves_no_verdict_of_before(new_turn: NewTurn) -> None:
    judged = new_turn()
    judged.evaluate(LOW, HIGH)
    gate.run(judged.run)
    judged.evaluate(LOW, [float("nan"), *HIGH[1:]])
    with pytest.raises(IncomparableReports):
        gate.run(judged.run)
    assert not (judged.folder / "verdict.json").exists() and not (judged.folder / "report.md").exists()


def test_without_a_registry_there_is_no_verdict(new_turn: NewTurn) -> None:
    judged = new_turn()
    judged.evaluate(LOW, HIGH)
    with pytest.raises(RegistryError) as caught:
        gate.run(replace(judged.run, database_url="postgresql://nobody@127.0.0.1:9/tao"))
    assert "\n" not in str(caught.value) and not (judged.folder / "verdict.json").exists()
