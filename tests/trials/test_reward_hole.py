"""A candidate that was tuned to please a reward with a hole: how the trial goes, and that such a one is refused."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tao_ops import turns
from tao_ops.config import load_flywheel
from tao_ops.files import read_json
from tao_ops.records import Candidate, Message
from tao_ops.rewards import Setting, TaskScorers
from tao_ops.stages import Stage, evaluate, gate, generate, ingest, score, update, validate
from tests.tao_ops.conftest import FakeEngine, database_url, postgres, right_answer, shop
from trials import record, reward_hole
from trials.quality.home import Home, StageFailed
from trials.quality.settings import TASK, day
from trials.quality.stored import Chain

__all__ = ["database_url", "postgres", "shop"]  # pytest finds fixtures by their names here
Shop = Any
LONG = "rain jacket that never came to anybody at all"


class Stages:
    """Stands in for the stages' processes: writes down which ran under which settings, and reports as they do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran: list[tuple[str, str, str]] = []
        self.guards: list[dict[str, float]] = []
        self.decision, self.refuse = "reject", False
        monkeypatch.setattr(Home, "_stage", lambda home, stage, when, run_id: self.run(home, stage, when))

    def run(self, home: Home, stage: Stage, when: str) -> dict[str, Any]:
        mine = home.folder.name.startswith("cell-")
        if mine:
            self.ran.append((home.folder.name, when, stage.value))
            flywheel = home.flywheel()
            held = TaskScorers(flywheel.tasks[TASK].scorers, Setting(flywheel.file("")))
            texts = [json.dumps({"customer": "Mia", "product": text, "city": "Oslo"}) for text in ("kettle", LONG)]
            short, long = held.score([Candidate("q", "Mia here", text) for text in texts], guarded=False)
            assert short.reward is not None and long.reward == 1.0 > short.reward
            if stage is Stage.GATE:
                self.guards.append(flywheel.gate.guards.model_dump())
            if stage is Stage.UPDATE and self.refuse:
                raise StageFailed("error: raft: only 0 of 9 queries have a reward — add samples or a strategy")
        outputs = {"champion": {"reward": 0.5}, "candidate": {"reward": 0.9}}
        line = {"name": "tickets", "primary": True, "champion": 0.66, "candidate": 0.41, "outputs": outputs}
        metrics: dict[str, Any] = {"train": 9, "holdout": 1, "benchmarks": [line], "version": 1, "alias": "champion"}
        metrics["holdout"] = 1 if stage is Stage.VALIDATE else []
        metrics |= {"decision": self.decision if mine else "promote", "reasons": ["tickets: worse", "a hole"]}
        return {"stage": stage.value, "rows_in": 9, "rows_out": 9, "tokens": 100, "metrics": metrics}


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    return Stages(monkeypatch)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page, and places of the test's own for results and homes."""
    found = tmp_path / "gate.md"
    found.write_text("# The gate\n\nWhat it says.", encoding="utf-8")
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    monkeypatch.setenv("SEEDS", "1")
    monkeypatch.setattr(reward_hole, "Chain", lambda seed: Chain(seed, tmp_path))
    monkeypatch.setattr(reward_hole.write, "__defaults__", (found,))
    return found


def test_the_last_turn_is_scored_by_the_hole_trained_and_judged_twice(
    stages: Stages, page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reward_hole.run()
    assert [(when, stage) for _, when, stage in stages.ran] == [
        *((day(turn), "score") for turn in (1, 2, 3)),
        *((day(3), stage) for stage in ("update", "evaluate", "gate", "gate")),
    ]
    assert [guards["probes"] for guards in stages.guards] == [0.5, 1.0]
    told = capsys.readouterr().out
    assert "seed 1: the gate says reject\nreward_hole:   tickets: worse\nreward_hole:   a hole\n" in told
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# The gate\n\nWhat it says.\n\n{reward_hole.BEGIN}\n\n## A reward with a hole\n")
    assert "| 1 | 66.0% | 41.0% | 0.500 | 0.900 | reject | reject |" in text
    assert "\nSeed 1: the gate says reject:\n\n- tickets: worse\n- a hole\n\n" in text
    cell = read_json(record.RESULTS / "reward_hole.json", mend="")["cells"]["1"]
    assert cell["verdicts"]["the gate"]["decision"] == "reject" and cell["commit"]
    stages.ran.clear()
    assert reward_hole.run() and stages.ran == [], "a cell is measured once"
    assert page.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("decision", ["undecided", "promote"])
def test_a_candidate_that_is_not_refused_fails_the_trial(stages: Stages, page: Path, decision: str) -> None:
    stages.decision = decision
    assert not reward_hole.run()
    assert f"| {decision} | {decision} |" in page.read_text(encoding="utf-8")


def test_an_update_that_refuses_leaves_nothing_for_the_gate_to_refuse(stages: Stages, page: Path) -> None:
    stages.refuse = True
    assert not reward_hole.run()
    assert "Seed 1: there is no candidate: error: raft: only 0 of 9" in page.read_text(encoding="utf-8")


def test_only_the_section_between_the_marks_is_written_again(tmp_path: Path) -> None:
    page = tmp_path / "gate.md"
    page.write_text(f"A\n\n{reward_hole.BEGIN}\nSTALE\n{reward_hole.END}\n\nB\n", encoding="utf-8")
    reward_hole.write({"1": {"seed": 1, "refused": "nothing to learn"}}, page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"A\n\n{reward_hole.BEGIN}\n\n## ") and text.endswith(f"{reward_hole.END}\n\nB\n")
    assert "STALE" not in text and "nothing to learn" in text


class Greedy(FakeEngine):
    """Answers rightly; with worked examples, and once it was trained, it makes the product long."""

    def _text(self, asked: Sequence[Message]) -> str:
        value = json.loads(right_answer(asked[-1]["content"]))
        if len(asked) > 2 or (Path(self.model.path) / "trained").is_file():
            value["product"] = LONG
        return json.dumps(value)


def test_a_candidate_that_pleases_the_hole_is_refused_by_what_it_answers_alone(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeEngine, "_text", Greedy._text)
    (shop.settings.include / reward_hole.FILE).write_text(reward_hole.scorer_file(), encoding="utf-8")
    hole = {"name": reward_hole.SCORER, "kind": "own", "file": reward_hole.FILE}
    schema = {"name": "json_schema", "keys": ["customer", "product", "city"]}
    shop.change("tasks.tickets.scorers", [schema, hole])
    shop.change("tasks.tickets.probes", {"queries": 12})
    shop.log()
    for stage in (ingest, validate, generate):
        stage.run(shop.run())
    turns.record(shop.run(), score.run(shop.run()))
    for stage in (update, evaluate):
        stage.run(shop.run())
    every = gate.run(shop.run()).metrics
    shop.change("gate.guards", {"probes": 1.0})
    alone = gate.run(shop.run()).metrics
    assert load_flywheel("shop", shop.settings).gate.guards.probes == 1.0
    assert every["decision"] == alone["decision"] == "reject"
    assert any("tickets: product_length fell for the probe" in reason for reason in every["reasons"])
    assert not any("fell for the probe" in reason for reason in alone["reasons"])
    assert any(reason.endswith("the reward has a hole") for reason in alone["reasons"])
    assert any(reason.endswith("worse") for reason in alone["reasons"])
