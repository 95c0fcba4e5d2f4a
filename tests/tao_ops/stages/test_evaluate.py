"""Champion, control and candidate answer the same items; what is stored is not asked again."""

import json
from pathlib import Path
from typing import Any

import pytest

from tao_ops.errors import ConfigError, DataError, MissingInput, ModelError
from tao_ops.files import read_json
from tao_ops.stages import evaluate, generate, ingest, score, update, validate
from tao_ops.tables import EVALUATIONS

Shop = Any


def _updated(shop: Shop, day: int = 21, run_id: str = "manual__1") -> Any:
    shop.log(day=day)
    for stage in (ingest, validate, generate, score, update):
        stage.run(shop.run(day, run_id))
    shop.engines.clear()
    return shop.run(day, run_id)


def _scores(run: Any) -> list[tuple[str, str, float]]:
    rows = run.lake.read(EVALUATIONS, turn=run.turn.key).to_pylist()
    return sorted((row["arm"], row["item_id"], row["score"]) for row in rows)


def test_three_arms_on_the_same_items(shop: Shop) -> None:
    run = _updated(shop)
    report = evaluate.run(run)
    items = [f"i{n}" for n in range(6)]
    assert _scores(run) == sorted(
        (arm, item, right) for arm, right in (("candidate", 1.0), ("champion", 0.0), ("control", 1.0)) for item in items
    )
    (line,) = report.metrics["benchmarks"]
    shown = ("name", "metric", "n", "champion", "control", "candidate", "delta", "primary")
    assert [line[key] for key in shown] == ["exam", "exact_json", 6, 0.0, 1.0, 1.0, 1.0, True]
    assert line["ci_low"] <= 1.0 <= line["ci_high"] and 0 <= line["p_value"] < 0.05
    assert len(shop.engines) == 1 and shop.asked == 18
    stored = read_json(run.lake.artifacts(run.turn, run.run_id) / "report.json")
    assert stored["champion"]["version"] == 0 and stored["candidate"]["model_version"] == report.metrics["candidate"]
    assert stored["benchmarks"][0]["version"] and json.dumps(report.as_dict())
    assert shop.said[-1].startswith("exam (6 items, exact_json): champion 0.000, control 1.000, candidate 1.000")


def test_a_stored_score_is_not_asked_for_again(shop: Shop) -> None:
    run = _updated(shop)
    evaluate.run(run)
    before, asked = _scores(run), shop.asked
    report = evaluate.run(run)
    assert shop.asked == asked and len(shop.engines) == 1
    assert report.metrics["reused"] == 3 and _scores(run) == before


def test_in_the_next_turn_only_the_candidate_is_asked(shop: Shop) -> None:
    evaluate.run(_updated(shop, 20))
    shop.change("update.min_reward", 0.6)
    shop.log(["Xena here, my lamp never came to Rome.", *[f"Yan{i} here, my fan never came to Bari." for i in "abcde"]])
    run = shop.run(21)
    for stage in (ingest, validate, generate, score, update):
        stage.run(run)
    shop.engines.clear()
    report = evaluate.run(run)
    assert shop.asked == 6 and report.metrics["reused"] == 2
    assert len(_scores(run)) == 18, "the turn's rows are whole all the same"


@pytest.mark.parametrize("change", ["prompt", "items", "max_tokens"])
def test_another_prompt_benchmark_or_decoding_is_another_exam(shop: Shop, change: str) -> None:
    run = _updated(shop)
    evaluate.run(run)
    asked, exam = shop.asked, shop.settings.include / "exam" / "items.jsonl"
    if change == "prompt":
        (shop.settings.include / "prompt.txt").write_text("Read it well.", encoding="utf-8")
    elif change == "items":
        exam.write_text("".join(exam.read_text(encoding="utf-8").splitlines(keepends=True)[:5]), encoding="utf-8")
    else:
        shop.change("tasks.tickets.max_tokens", 32)
    report = evaluate.run(shop.run())
    n = 5 if change == "items" else 6
    assert shop.asked == asked + 3 * n and report.metrics["reused"] == 0
    assert len(_scores(run)) == 3 * n, "the rows of the exam before are replaced"


def test_without_a_control_there_are_two_arms(shop: Shop) -> None:
    shop.change("evaluate.control", None)
    run = _updated(shop)
    (line,) = evaluate.run(run).metrics["benchmarks"]
    assert line["control"] is None and shop.asked == 12
    assert "control" not in shop.said[-1]


def _refused(shop: Shop, kind: type[Exception], said: str) -> None:
    before = shop.versions()
    with pytest.raises(kind, match=said) as caught:
        evaluate.run(shop.run())
    assert "\n" not in str(caught.value) and " — " in str(caught.value)
    assert shop.versions() == before and shop.asked == 0


def test_before_update_it_says_so(shop: Shop) -> None:
    _refused(shop, MissingInput, r"candidate\.json is missing .* run update first")


def test_a_control_that_is_no_strategy_is_named(shop: Shop) -> None:
    _updated(shop)
    shop.change("evaluate.control", "plain_words")
    _refused(
        shop, ConfigError, r"'plain_words' is no strategy of task .*evaluate|evaluate.*'plain_words' is no strategy"
    )


def test_a_missing_benchmark_changes_nothing(shop: Shop) -> None:
    run = _updated(shop)
    (shop.settings.include / "exam" / "items.jsonl").unlink()
    before = shop.versions()
    with pytest.raises(ConfigError, match=r"benchmark exam cannot be read.*'path'"):
        evaluate.run(run)
    assert shop.versions() == before


def test_a_candidate_whose_folder_is_gone_is_named(shop: Shop) -> None:
    run = _updated(shop)
    manifest = read_json(run.lake.artifacts(run.turn, run.run_id) / "candidate.json")
    (Path(manifest["path"]) / "model.safetensors").unlink()
    _refused(shop, ModelError, r"no \*\.safetensors .*candidate-")


class _Judge:
    """Says yes to JSON, and nothing where it is out of order."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.broken = False

    def judge(self, config: Any) -> "_Judge":
        return self

    def next_word(self, conversations: Any, words: Any) -> list[Any]:
        self.asked += [asked[-1]["content"] for asked in conversations]
        if self.broken:
            return ["the judge did not answer" for _ in conversations]
        return [_yes("Sure, the customer is" not in asked[-1]["content"]) for asked in conversations]


def _yes(right: bool) -> dict[str, float]:
    return {"Yes": -0.01, "No": -4.6} if right else {"Yes": -4.6, "No": -0.01}


@pytest.fixture
def judged(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> tuple[Shop, _Judge]:
    """The shop, whose benchmark is scored by a judge of its own."""
    judge = _Judge()
    monkeypatch.setattr(evaluate, "scoring_models", lambda *_: judge)
    include = shop.settings.include
    (include / "prompts" / "judge").mkdir(parents=True)
    (include / "rubric.txt").write_text("All three values are copied from the message.", encoding="utf-8")
    template = (Path(__file__).parents[3] / "include" / "prompts" / "judge" / "single.txt").read_text(encoding="utf-8")
    (include / "prompts" / "judge" / "single.txt").write_text(template, encoding="utf-8")
    told = {"model": "../judge-model", "rubric": "rubric.txt"}
    shop.change(
        "tasks.tickets.benchmarks",
        [{"name": "exam", "path": "exam", "primary": True, "metric": "judge", "judge": told}],
    )
    return shop, judge


def test_a_benchmark_may_have_a_judge_of_its_own(judged: tuple[Shop, _Judge]) -> None:
    shop, judge = judged
    run = _updated(shop)
    (line,) = evaluate.run(run).metrics["benchmarks"]
    assert line["metric"] == "judge" and line["candidate"] > 0.95 and line["champion"] < 0.05
    assert len(judge.asked) > 2
    asked = shop.asked
    (shop.settings.include / "rubric.txt").write_text("The city is right.", encoding="utf-8")
    evaluate.run(shop.run())
    assert shop.asked == 2 * asked, "scores of another rubric are other scores"


def test_a_judge_without_a_verdict_is_an_error_and_nothing_is_written(judged: tuple[Shop, _Judge]) -> None:
    shop, judge = judged
    run = _updated(shop)
    judge.broken = True
    before = shop.versions()
    with pytest.raises(DataError, match=r"gave no verdict on 6 of 6 items: the judge did not answer \[the first: i0\]"):
        evaluate.run(run)
    assert shop.versions() == before
