"""What is stored of a model's answers comes back as the gate's rule takes it."""

from collections.abc import Callable
from typing import Any

import pytest

from tao_ops.benchmarks.reports import Output
from tao_ops.errors import MissingInput
from tao_ops.evaluations import facts_of, read_report, stored_report
from tao_ops.models import ModelFacts
from tao_ops.tables import EVALUATIONS

NewTurn = Callable[..., Any]


@pytest.fixture
def judged(new_turn: NewTurn) -> Any:
    turn = new_turn()
    turn.evaluate([0.0, 0.0], [1.0, 0.0])
    return turn


def _report(judged: Any, arm: str = "candidate", **more: Any) -> Any:
    told = {**read_report(judged.folder), **more}
    return stored_report(judged.run.lake, told, facts_of(told[arm]))


def test_scores_alone_make_a_report(judged: Any) -> None:
    report = _report(judged)
    assert report.facts == ModelFacts("cand", "LlamaForCausalLM", 134_515_008, "BF16") and report.engine == "fake"
    assert (report.seconds_a_token, report.contaminated) == (None, 0)
    scores = report.benchmarks["tickets"]
    assert scores.items == {"i0": 1.0, "i1": 0.0} and (scores.task, scores.metric) == ("tickets", "exact_json")
    assert not scores.outputs and not scores.slices


def test_outputs_slices_pace_and_contamination_are_told(judged: Any) -> None:
    rows = judged.run.lake.read(EVALUATIONS).to_pylist()
    told = [{**row, "tokens": 7, "flags": ["truncated"], "reward": None} for row in rows if row["item_id"] == "i1"]
    judged.run.lake.write(
        EVALUATIONS,
        [*(row for row in rows if row["item_id"] != "i1"), *told],
        turn=judged.run.turn,
        run_id=judged.run.run_id,
    )
    more = {
        "slice_items": {"tickets": {"family=tea": ["i1"]}},
        "seconds_a_token": {"champion": 0.5, "candidate": 0.25},
        "contaminated": 2,
    }
    candidate, champion = _report(judged, **more), _report(judged, "champion", **more)
    assert candidate.benchmarks["tickets"].outputs == {"i1": Output(7, ("truncated",), None)}
    assert candidate.benchmarks["tickets"].slices == {"family=tea": ["i1"]}
    assert (candidate.seconds_a_token, candidate.contaminated) == (0.25, 2)
    assert (champion.seconds_a_token, champion.contaminated) == (0.5, 0)


def test_rewards_of_a_model_that_is_not_of_the_report_are_not_told(judged: Any, new_turn: NewTurn) -> None:
    """They are of its own turn's scorers."""
    rows = judged.run.lake.read(EVALUATIONS).to_pylist()
    told = [{**row, "tokens": 7, "flags": [], "reward": 0.5} for row in rows]
    judged.run.lake.write(EVALUATIONS, told, turn=judged.run.turn, run_id=judged.run.run_id)
    assert _report(judged).benchmarks["tickets"].outputs["i0"].reward == 0.5
    later = new_turn(22)
    later.evaluate([1.0, 0.0], [1.0, 1.0], versions=("cand", "next"))
    other = stored_report(later.run.lake, read_report(later.folder), facts_of(read_report(judged.folder)["champion"]))
    assert other.benchmarks["tickets"].outputs["i0"] == Output(7, (), None)


def test_of_another_champion_no_pace_is_known(judged: Any, new_turn: NewTurn) -> None:
    later = new_turn(22)
    later.evaluate([1.0, 0.0], [1.0, 1.0], versions=("cand", "next"))
    told = {**read_report(later.folder), "seconds_a_token": {"champion": 0.5, "candidate": 0.25}, "contaminated": 1}
    other = stored_report(later.run.lake, told, facts_of(read_report(judged.folder)["champion"]))
    assert other.facts.model_version == "base" and other.benchmarks["tickets"].items == {"i0": 0.0, "i1": 0.0}
    assert (other.seconds_a_token, other.contaminated) == (None, 0)


def test_a_model_without_scores_is_named(judged: Any) -> None:
    told = read_report(judged.folder)
    facts = ModelFacts("nobody", "LlamaForCausalLM", 1, "BF16")
    with pytest.raises(MissingInput, match="0 of 2 scores of model nobody on tickets are stored"):
        stored_report(judged.run.lake, told, facts)
