"""What the model in training answers earns what ``score`` would have given for it."""

from collections.abc import Sequence
from typing import Any

import pytest

from tao_ops import prompts, turns
from tao_ops.backends.trl_trainer.job import Question
from tao_ops.records import StageReport
from tao_ops.scoring.models import scoring_models
from tao_ops.stages import generate, ingest, score, validate
from tao_ops.tables import PROMPTS, RESPONSES, REWARDS
from tao_ops.updating.rewarder import FlywheelRewards
from tests.tao_ops.conftest import right_answer

Shop = Any
KEYS = ["customer", "product", "city"]
LONGEST = "def score(batch):\n    return [min(1.0, len(c.text) / 500) for c in batch]\n"


@pytest.fixture
def generated(shop: Shop) -> Shop:
    shop.log()
    for stage in (ingest, validate, generate):
        stage.run(shop.run())
    (shop.settings.include / "longest.py").write_text(LONGEST, encoding="utf-8")
    return shop


def _scored(shop: Shop) -> StageReport:
    run = shop.run()
    report = score.run(run)
    turns.record(run, report)
    return report


def _rewarder(shop: Shop, pools: dict[str, list[tuple[str, str]]]) -> FlywheelRewards:
    run = shop.run()
    models = scoring_models(run.flywheel, run.database_url, run.settings, run.say)
    return FlywheelRewards(run.lake, run.flywheel, run.turn, models, pools)


def _questions(shop: Shop) -> dict[str, Question]:
    rows = shop.run().lake.read(PROMPTS, split="train").to_pylist()
    return {r["query_id"]: Question(prompts.production("P", r["messages"]), "tickets", r["query_id"], 64) for r in rows}


SCORERS: dict[str, Sequence[dict[str, Any]]] = {
    "as configured": [],
    "calibrated": [{"name": "json_schema", "keys": KEYS, "decides": True}, {"name": "consensus"}],
    "barred": [{"name": "grounding", "keys": KEYS}, {"name": "wordy", "kind": "own", "file": "longest.py"}],
}


@pytest.mark.parametrize("case", SCORERS)
def test_an_answer_earns_what_score_gives_for_it_in_the_same_pool(generated: Shop, case: str) -> None:
    if SCORERS[case]:
        generated.change("tasks.tickets.scorers", list(SCORERS[case]))
    generated.change("tasks.tickets.probes", {"bar": True})
    metrics = _scored(generated).metrics
    assert (metrics["calibration"]["tickets"]["calibrator"] is not None) == (case == "calibrated")
    assert metrics["barred"]["tickets"] == (["wordy"] if case == "barred" else [])
    lake = generated.run().lake
    given = {row["response_id"]: row["reward"] for row in lake.read(REWARDS).to_pylist()}
    responses = lake.read(RESPONSES).to_pylist()
    questions = _questions(generated)
    for strategy in ("plain", "demonstrations"):
        # One of each query's responses is answered anew, beside the others.
        answered = {row["query_id"]: row for row in responses if row["strategy"] == strategy}
        pools: dict[str, list[tuple[str, str]]] = {}
        for row in responses:
            if row["response_id"] != answered[row["query_id"]]["response_id"]:
                pools.setdefault(row["query_id"], []).append((row["strategy"], row["answer"]))
        asked = [questions[query_id] for query_id in answered if query_id in questions]
        rewards = _rewarder(generated, pools)(asked, [answered[one.query_id]["answer"] for one in asked])
        assert rewards == pytest.approx([given[answered[one.query_id]["response_id"]] for one in asked])


def test_what_exploration_found_is_counted_beside_new_answers(generated: Shop) -> None:
    generated.change("tasks.tickets.scorers", [{"name": "consensus"}])
    _scored(generated)
    question = next(iter(_questions(generated).values()))
    right, wrong = right_answer(question.messages[-1]["content"]), '{"customer": "x", "product": "y", "city": "z"}'
    found = {question.query_id: [("demonstrations", right)] * 6}
    alone = _rewarder(generated, {})([question] * 3, [wrong, wrong, right])
    beside = _rewarder(generated, found)([question] * 3, [wrong, wrong, right])
    assert alone[0] is not None and alone[2] is not None and beside[0] is not None and beside[2] is not None
    assert alone[0] > alone[2] and beside[2] > beside[0]


def test_what_no_scorer_can_judge_has_no_reward(generated: Shop) -> None:
    _scored(generated)
    generated.change("tasks.tickets.scorers", [{"name": "numeric"}])
    question = next(iter(_questions(generated).values()))
    assert _rewarder(generated, {})([question], ["12"]) == [None]
    assert _rewarder(generated, {})([], []) == []


def test_each_task_has_its_own_scorers(generated: Shop) -> None:
    _scored(generated)
    generated.change("tasks.mails", {
        **{"prompt": "prompt.txt", "expectations": "expectations.json"},
        **{"strategies": [{"name": "demonstrations", "samples": 1, "file": "examples.jsonl"}]},
        **{"scorers": [{"name": "regex", "pattern": "Lyon"}], "benchmarks": [{"name": "other", "path": "exam"}]},
    })  # fmt: skip
    ticket = next(iter(_questions(generated).values()))
    mail = Question(ticket.messages, "mails", "other", 64)
    right = right_answer(ticket.messages[-1]["content"])
    rewards = _rewarder(generated, {})([mail, ticket, mail], ["Lyon", right, right])
    assert rewards[0] == 1.0 and rewards[2] == 0.0 and rewards[1] is not None and rewards[1] > 0.5
