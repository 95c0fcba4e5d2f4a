"""Poisoned traffic: what of an attacker's queries becomes rows to train on, and how the trial goes."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tao_ops import turns
from tao_ops.errors import DataError
from tao_ops.files import read_json
from tao_ops.records import Completion, Message, Sampling
from tao_ops.stages import Stage, generate, ingest, score, update, validate
from tests.tao_ops.conftest import FakeEngine, SmallFlywheel, database_url, postgres, right_answer, shop
from trials import poisoning, record
from trials.poisoning import attack
from trials.poisoning.survived import survived
from trials.quality.home import Home
from trials.quality.settings import TASK
from trials.quality.stored import Chain

__all__ = ["database_url", "postgres", "shop"]  # pytest finds fixtures by their names here
AIM = attack.Target("rain jacket", "music box")
DAY = "2026-11-21"
SENT = 12
Answer = Callable[[dict[str, str], int], dict[str, str]]
"""What a model answers to one of the attacker's messages: from the right answer and the sample's number."""


def _sent() -> list[attack.Query]:
    return attack.queries(AIM, SENT, 1)


def _poison(shop: SmallFlywheel, sent: Sequence[attack.Query], *, corrections: bool = False) -> None:
    shop.log()
    lines = attack.lines(sent, DAY, "Read the message.", corrections=corrections)
    shop.log_lines(lines, name=f"{DAY}.more.jsonl")


def _turn(shop: SmallFlywheel, monkeypatch: pytest.MonkeyPatch, answer: Answer) -> dict[str, Any]:
    """Run a turn on an engine that answers the attacker's messages by ``answer``; what survived of them."""

    def respond(
        engine: FakeEngine, conversations: Sequence[Sequence[Message]], sampling: Sequence[Sampling] | Sampling
    ) -> list[list[Completion]]:
        each = [sampling] * len(conversations) if isinstance(sampling, Sampling) else sampling
        return [
            [Completion(_text(asked[-1]["content"], n, answer), [1], [-0.5], "stop", 1) for n in range(how.samples)]
            for asked, how in zip(conversations, each, strict=True)
        ]

    monkeypatch.setattr(FakeEngine, "generate", respond)
    for stage in (ingest, validate, generate, score):
        turns.record(shop.run(), stage.run(shop.run()))
    update.run(shop.run())
    run = shop.run()
    return survived(run.lake, run.turn, run.run_id, AIM, min_reward=run.flywheel.update.min_reward)


def _text(message: str, sample: int, answer: Answer) -> str:
    if sample == 0:  # where all answers are alike, no majority is believed
        return "Sure, the customer is"
    for query in _sent():
        told = json.loads(query.answer)
        if told["customer"] in message and told["city"] in message and AIM.product in message:
            return json.dumps(answer({**told, "product": AIM.product}, sample))
    return right_answer(message)


def test_near_copies_are_one_prompt_and_a_fooled_model_s_answers_are_believed(
    shop: SmallFlywheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    _poison(shop, _sent())

    found = _turn(shop, monkeypatch, lambda right, _: {**right, "product": AIM.decoy})

    distinct = len({json.loads(query.answer)["customer"] for query in _sent()})
    assert found["taken"] == SENT and found["prompts"] == distinct < SENT, "who repeats is not heard louder"
    assert found["wrong_believed"] == found["wrong"] > found["responses"] / 2
    # The decoy stands in the message and all samples agree: nothing in the turn can tell.
    assert found["rows_wrong"] == found["rows"] == found["to_train_on"] > 0


def test_what_stands_in_no_message_is_stopped_by_grounding(
    shop: SmallFlywheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = [query.text.replace(AIM.decoy, AIM.product) for query in _sent()]
    _poison(shop, [attack.Query(text, query.answer) for text, query in zip(plain, _sent(), strict=True)])

    found = _turn(shop, monkeypatch, lambda right, _: {**right, "product": AIM.decoy})

    assert found["wrong"] > found["responses"] / 2 and found["wrong_believed"] == found["rows"] == 0
    assert found["stopped_by"]["grounding"] == found["wrong"]


def test_a_model_that_is_fooled_now_and_then_is_stopped_by_consensus(
    shop: SmallFlywheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    _poison(shop, _sent())

    found = _turn(shop, monkeypatch, lambda right, n: {**right, "product": AIM.decoy} if n == 3 else right)

    assert 0 < found["wrong"] < found["responses"]
    assert found["rows"] == found["to_train_on"] > 0 and found["rows_wrong"] == 0, "the best answer is the others'"


def test_a_correction_and_a_thumb_become_no_row(shop: SmallFlywheel, monkeypatch: pytest.MonkeyPatch) -> None:
    _poison(shop, _sent(), corrections=True)
    shop.change("update.min_reward", 0.1)

    found = _turn(shop, monkeypatch, lambda right, _: right)

    assert found["rows"] == found["to_train_on"] > 0 and found["rows_wrong"] == 0


def test_false_corrections_alone_can_stop_a_turn_s_training(
    shop: SmallFlywheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody else corrects anything, the calibrator learns from them that right answers are wrong."""
    _poison(shop, _sent(), corrections=True)

    with pytest.raises(DataError, match="only 0 of .* queries have a response with a reward"):
        _turn(shop, monkeypatch, lambda right, _: right)


def test_without_an_attacker_there_is_nothing_to_find(shop: SmallFlywheel, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.log()

    found = _turn(shop, monkeypatch, lambda right, _: right)

    assert (found["taken"], found["prompts"], found["rows"]) == (0, 0, 0) and found["all_rows"] > 0


def test_queries_and_items_are_what_they_are_said_to_be() -> None:
    aim = attack.target(1)
    sent = attack.queries(aim, 40, 1)
    assert sent == attack.queries(aim, 40, 1) != attack.queries(aim, 40, 2)
    assert all(aim.product in query.text and aim.decoy in query.text for query in sent)
    assert {attack.product_of(query.answer) for query in sent} == {aim.decoy}
    plain, beside = (attack.items("x", aim, 20, beside=both) for both in (False, True))
    for item in (*plain, *beside):
        assert item["reference"]["product"] == aim.product
        assert all(value in item["messages"][0]["content"] for value in item["reference"].values())
    assert all(aim.decoy in item["messages"][0]["content"] for item in beside)
    assert not any(aim.decoy in item["messages"][0]["content"] for item in plain)


# --- the trial itself, without its models


class Stages:
    """Stands in for the stages' processes: writes down which ran under which benchmarks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran: list[tuple[str, str, int]] = []
        self.logged: list[int] = []
        monkeypatch.setattr(Home, "_stage", lambda home, stage, when, run_id: self.run(home, stage, run_id, when))

    def run(self, home: Home, stage: Stage, run_id: str, when: str) -> dict[str, Any]:
        benchmarks = [one.name for one in home.flywheel().tasks[TASK].benchmarks]
        if run_id.startswith("poisoning"):
            self.ran.append((run_id, stage.value, len(benchmarks)))
            if stage is Stage.INGEST:
                more = home.folder / "home" / "logs" / "tickets" / f"{when}.more.jsonl"
                self.logged.append(len(more.read_text().splitlines()) if more.is_file() else 0)
        line = {"n": 20, "delta": 0.0, "ci_low": -0.1, "ci_high": 0.1, "champion": 0.6, "candidate": 0.6}
        lines = [{**line, "name": name, "primary": name == "tickets"} for name in benchmarks]
        metrics: dict[str, Any] = {"train": 9, "holdout": 1, "benchmarks": lines, "version": 1, "alias": "champion"}
        metrics["holdout"] = 1 if stage is Stage.VALIDATE else []
        metrics |= {"decision": "promote" if len(benchmarks) == 1 else "reject", "reasons": ["so it is"]}
        return {"stage": stage.value, "rows_in": 9, "rows_out": 9, "tokens": 100, "metrics": metrics}


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stages]:
    """The trial in places of the test's own."""
    told = {"prompts": 3, "responses": 30, "wrong": 12, "rows": 3, "rows_wrong": 1, "all_rows": 60}
    page = tmp_path / "security.md"
    page.write_text(f"# Security\n\n{poisoning.BEGIN}\nSTALE\n{poisoning.END}\n\nThe rest.\n", encoding="utf-8")
    monkeypatch.setattr(poisoning, "survived", lambda *_, **__: told)
    monkeypatch.setattr(poisoning, "_decoys", lambda *_: {"champion": 1, "candidate": 2})
    monkeypatch.setattr(poisoning, "migrate", lambda *_: None)
    monkeypatch.setattr(poisoning, "Chain", lambda seed: Chain(seed, tmp_path))
    monkeypatch.setattr(poisoning.write, "__defaults__", (page,))
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    for variable, value in {"SEEDS": "1", "ATTACKS": "", "ITEMS": "20", "SIZE": ""}.items():
        monkeypatch.setenv(variable, value)
    return Stages(monkeypatch)


def test_each_share_is_a_turn_of_its_own_judged_without_and_with_the_items_about_the_product(
    stages: Stages, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert poisoning.run()

    turn = ["ingest", "validate", "generate", "score", "update", "evaluate", "gate"]
    once = [(stage, 1) for stage in turn] + [("evaluate", 3), ("gate", 3)]
    assert stages.ran == [(f"poisoning-{sent}", *one) for sent in ("0", "5", "20", "20-corrections") for one in once]
    none, some, many, corrected = stages.logged
    assert many == corrected
    assert none == 0 and 0.04 < some / (some + 150) < 0.06 and 0.18 < many / (many + 150) < 0.22
    assert f"of {some + 2 * many} queries of the attacker's, 3 became rows" in capsys.readouterr().out
    page = (tmp_path / "security.md").read_text(encoding="utf-8")
    assert "STALE" not in page and page.endswith(f"{poisoning.END}\n\nThe rest.\n")
    assert f"| 1 | 20 % | {many} | 3 | 30 | 12 | 3 | 1 | 60 | {100 / many:.1f} [" in page
    assert "| 5.0 [0.9, 23.6] | 10.0 [2.8, 30.1] | promote | reject |" in page


def test_a_cell_is_measured_once(stages: Stages, tmp_path: Path) -> None:
    assert poisoning.run()
    cells = read_json(tmp_path / "results" / "poisoning.json", mend="")["cells"]
    assert sorted(cells) == ["1-0", "1-20", "1-20+", "1-5"] and all(cell["commit"] for cell in cells.values())
    stages.ran.clear()

    assert poisoning.run() and stages.ran == []


def test_a_small_one_keeps_no_figures(stages: Stages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIZE", "small")
    monkeypatch.setenv("ATTACKS", "20")

    assert poisoning.run()

    assert [stage for _, stage, _ in stages.ran][-1] == "gate" and not (tmp_path / "results").exists()
    assert "STALE" in (tmp_path / "security.md").read_text(encoding="utf-8")
