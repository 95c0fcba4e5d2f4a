"""Champion, control and candidate answer the same items; what is stored is not asked again."""

import json
from pathlib import Path
from typing import Any

import pytest

from tao_ops import turns
from tao_ops.benchmarks.item_sets import Item, ItemSet
from tao_ops.benchmarks.reports import Output
from tao_ops.errors import ConfigError, DataError, MissingInput, ModelError
from tao_ops.evaluating import answering
from tao_ops.evaluations import facts_of, stored_report
from tao_ops.files import read_json
from tao_ops.scoring import harness, marks
from tao_ops.stages import evaluate, generate, ingest, score, update, validate
from tao_ops.tables import EVALUATIONS, PROMPTS
from tests.tao_ops.conftest import FakeEngine

Shop = Any
INCLUDE = Path(__file__).parents[3] / "include"


@pytest.fixture(autouse=True)
def _untimed(shop: Shop) -> None:
    """What is asked is counted: only what is asked for scores, unless a test says so."""
    shop.change("gate.guards", {"timed": 0})


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


def _rows(run: Any, arm: str) -> list[dict[str, Any]]:
    return list(run.lake.read(EVALUATIONS, turn=run.turn.key, arm=arm).to_pylist())


def test_what_each_output_was_like_is_stored(shop: Shop) -> None:
    run = _updated(shop)
    (line,) = evaluate.run(run).metrics["benchmarks"]
    assert [(row["tokens"], row["flags"], row["reward"]) for row in _rows(run, "champion")] == [(3, [], 0.0)] * 6
    assert [(row["tokens"], row["flags"], row["reward"]) for row in _rows(run, "candidate")] == [(3, [], 1.0)] * 6
    assert {row["reward"] for row in _rows(run, "control")} == {None}
    plain = {"tokens": 3.0, "empty": 0.0, "truncated": 0.0, "repeated": 0.0, "rewarded": 6}
    assert line["outputs"] == {"champion": {**plain, "reward": 0.0}, "candidate": {**plain, "reward": 1.0}}
    for row in _rows(run, "candidate"):
        assert row["output"].startswith(' {"customer"')


def test_rewards_are_by_the_scorers_of_now_and_need_no_model(shop: Shop) -> None:
    run = _updated(shop)
    evaluate.run(run)
    shop.change("tasks.tickets.scorers", [{"name": "wordy", "kind": "own", "file": "wordy.py"}, {"name": "consensus"}])
    (shop.settings.include / "wordy.py").write_text("def score(batch):\n    return [0.25 for _ in batch]\n", "utf-8")
    evaluate.run(shop.run())
    assert {row["reward"] for row in _rows(run, "champion") + _rows(run, "candidate")} == {0.625}
    told = {"model": "nowhere", "rubric": "rubric.txt", "kind": "judge", "name": "judge"}
    shop.change("tasks.tickets.scorers", [told, {"name": "consensus"}])
    (shop.settings.include / "rubric.txt").write_text("It is right.", encoding="utf-8")
    _write_template(shop, "single")
    evaluate.run(shop.run())
    assert {row["reward"] for row in _rows(run, "champion") + _rows(run, "candidate")} == {None}


def test_scores_of_a_release_that_counted_no_tokens_are_asked_for_again(shop: Shop) -> None:
    run = _updated(shop)
    evaluate.run(run)
    rows = run.lake.read(EVALUATIONS).to_pylist()
    old = [{**row, "tokens": None, "flags": None, "reward": None} for row in rows]
    run.lake.write(EVALUATIONS, old, turn=run.turn, run_id=run.run_id)
    asked = shop.asked
    assert evaluate.run(run).metrics["reused"] == 1, "the control is in no guard"
    assert shop.asked == asked + 12 and {row["tokens"] for row in _rows(run, "champion")} == {3}


def _item(shop: Shop, item_id: str, text: str, **more: Any) -> str:
    reference = {"customer": "Mia", "product": "kettle", "city": "Oslo"}
    return json.dumps(
        {"item_id": item_id, "messages": [{"role": "user", "content": text}], "reference": reference} | more
    )


def test_slices_are_compared_each_by_itself(shop: Shop) -> None:
    exam = shop.settings.include / "exam" / "items.jsonl"
    lines = [json.loads(line) for line in exam.read_text(encoding="utf-8").splitlines()]
    exam.write_text(
        "".join(json.dumps({**one, "family": "tea" if n < 2 else "coffee"}) + "\n" for n, one in enumerate(lines)),
        encoding="utf-8",
    )
    sliced = {"name": "exam", "path": "exam", "primary": True, "slices": ["family"]}
    shop.change("tasks.tickets.benchmarks", [sliced])
    run = _updated(shop)
    (line,) = evaluate.run(run).metrics["benchmarks"]
    told = [(one["slice"], one["n"], one["champion"], one["candidate"], one["delta"]) for one in line["slices"]]
    assert told == [("family=coffee", 4, 0.0, 1.0, 1.0), ("family=tea", 2, 0.0, 1.0, 1.0)]
    report = read_json(run.lake.artifacts(run.turn, run.run_id) / "report.json")
    candidate = stored_report(run.lake, report, facts_of(report["candidate"]))
    assert candidate.benchmarks["exam"].slices == {
        "family=tea": ["i0", "i1"],
        "family=coffee": ["i2", "i3", "i4", "i5"],
    }
    assert candidate.benchmarks["exam"].task == "tickets"
    assert candidate.benchmarks["exam"].outputs["i0"] == Output(3, (), 1.0)
    shop.change("tasks.tickets.benchmarks", [{**sliced, "slices": ["colour"]}])
    before = shop.versions()
    with pytest.raises(ConfigError, match="'colour'"):
        evaluate.run(shop.run())
    assert shop.versions() == before


def test_items_that_were_trained_on_are_counted_and_named(shop: Shop) -> None:
    run = _updated(shop)
    exam = shop.settings.include / "exam" / "items.jsonl"
    # It has come into the exam since the update, which would have kept it away.
    trained = _item(shop, "leak", "Bela here, my rain jacket never came to Den Haag.")
    exam.write_text(f"{exam.read_text(encoding='utf-8')}{trained}\n", encoding="utf-8")
    report = evaluate.run(run)
    assert report.metrics["contaminated"] == 1
    assert "the candidate was trained on 1 benchmark items: exam/leak" in shop.said
    told = read_json(run.lake.artifacts(run.turn, run.run_id) / "report.json")
    assert stored_report(run.lake, told, facts_of(told["candidate"])).contaminated == 1
    assert stored_report(run.lake, told, facts_of(told["champion"])).contaminated == 0


def test_a_task_of_the_harness_is_asked_by_its_own_code(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    items = ItemSet("sums", "h1", tuple(Item(str(n), ({"role": "user", "content": f"{n}?"},), {}) for n in range(4)))
    asked: list[str] = []

    def run_harness(benchmark: Any, file: Any, engine: FakeEngine, *, say: Any) -> Any:
        asked.append(engine.model.path)
        return items, [1.0, 1.0, 0.0, 0.0], ["4", "", "x", "y"]

    monkeypatch.setattr(harness, "harness_items", lambda *_: items)
    monkeypatch.setattr(harness, "version", lambda *_: "h1")
    monkeypatch.setattr(answering, "run_harness", run_harness)
    exam = {"name": "exam", "path": "exam", "primary": True}
    sums = {"name": "sums", "path": "exam", "format": "harness", "harness": "sums", "metric": "exact_match"}
    shop.change("tasks.tickets.benchmarks", [exam, sums])
    run = _updated(shop)
    _, line = evaluate.run(run).metrics["benchmarks"]
    assert [line[key] for key in ("name", "metric", "n", "champion", "control")] == [
        "sums",
        "exact_match",
        4,
        0.5,
        None,
    ]
    assert line["outputs"] == {"champion": None, "candidate": None} and len(set(asked)) == len(asked) == 2
    rows = [row for row in _rows(run, "candidate") if row["benchmark"] == "sums"]
    assert {(row["tokens"], row["reward"]) for row in rows} == {(None, None)}
    told = read_json(run.lake.artifacts(run.turn, run.run_id) / "report.json")
    scores = stored_report(run.lake, told, facts_of(told["candidate"])).benchmarks["sums"]
    assert len(scores.items) == 4 and not scores.outputs
    assert evaluate.run(run).metrics["reused"] == 5 and len(asked) == 2


def _nothing_is_written(shop: Shop, run: Any, kind: type[Exception], said: str) -> None:
    before = shop.versions()
    with pytest.raises(kind, match=said) as caught:
        evaluate.run(run)
    assert "\n" not in str(caught.value) and " — " in str(caught.value)
    assert shop.versions() == before and not (run.lake.artifacts(run.turn, run.run_id) / "report.json").exists()


def test_a_benchmark_that_changes_while_it_is_answered_is_an_error(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    run, exam = _updated(shop), shop.settings.include / "exam" / "items.jsonl"
    answer = FakeEngine.generate

    def generate_and_edit(engine: FakeEngine, *asked: Any) -> Any:
        exam.write_text("".join(exam.read_text(encoding="utf-8").splitlines(keepends=True)[:5]), encoding="utf-8")
        return answer(engine, *asked)

    monkeypatch.setattr(FakeEngine, "generate", generate_and_edit)
    _nothing_is_written(shop, run, DataError, "benchmark exam changed while it was answered")


def test_a_score_that_is_no_number_is_an_error(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _updated(shop)
    monkeypatch.setattr(marks, "scores", lambda *_: [1.0, float("nan"), *[1.0] * 4])
    _nothing_is_written(shop, run, DataError, r"exact_json gave item i1 the score nan, not a number .* \[exam\]")


def test_both_models_are_timed_though_the_champions_scores_are_stored(shop: Shop) -> None:
    evaluate.run(_updated(shop, 20))
    shop.change("gate.guards", {"timed": 4, "slower": 1000.0})
    shop.change("update.min_reward", 0.6)
    shop.log(["Xena here, my lamp never came to Rome.", *[f"Yan{i} here, my fan never came to Bari." for i in "abcde"]])
    run = shop.run(21)
    for stage in (ingest, validate, generate, score, update):
        stage.run(run)
    shop.engines.clear()
    report = evaluate.run(run)
    pace = report.metrics["seconds_a_token"]
    assert pace["champion"] > 0 and pace["candidate"] > 0 and report.metrics["reused"] == 2
    assert len(shop.engines) == 1 and shop.asked == 6 + 2 * 2 * 4, "two rounds of each model over four items"
    assert report.tokens == 6 * 3, "what was sampled against the clock is no answer"
    assert len(_scores(run)) == 18
    told = read_json(run.lake.artifacts(run.turn, run.run_id) / "report.json")
    for arm in ("champion", "candidate"):
        assert stored_report(run.lake, told, facts_of(told[arm])).seconds_a_token == pace[arm]
    again = evaluate.run(run)
    assert again.metrics["seconds_a_token"] == pace and len(shop.engines) == 1, "that pair was timed already"


def test_what_the_rewards_scorers_fell_for_is_in_the_report(shop: Shop) -> None:
    shop.change("tasks.tickets.scorers", [{"name": "wordy", "kind": "own", "file": "wordy.py"}, {"name": "consensus"}])
    (shop.settings.include / "wordy.py").write_text(
        "def score(batch):\n    return [min(1.0, len(one.text) / 60) for one in batch]\n", "utf-8"
    )
    shop.log()
    for stage in (ingest, validate, generate):
        stage.run(shop.run())
    turns.record(shop.run(), score.run(shop.run()))
    update.run(shop.run())
    found = {(one["task"], one["scorer"]) for one in evaluate.run(shop.run()).metrics["fallen"]}
    assert ("tickets", "wordy") in found
    (page,) = shop.settings.home.glob("lake/artifacts/*/*/*/report.json")
    assert read_json(page)["fallen"][0]["turn"] == shop.run().turn.key


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


def _write_template(shop: Shop, mode: str) -> None:
    """The judge's instructions, as they are shipped."""
    shipped, mine = (folder / "prompts" / "judge" / f"{mode}.txt" for folder in (INCLUDE, shop.settings.include))
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text(shipped.read_text(encoding="utf-8"), encoding="utf-8")


def _yes(right: bool) -> dict[str, float]:
    return {"Yes": -0.01, "No": -4.6} if right else {"Yes": -4.6, "No": -0.01}


@pytest.fixture
def judged(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> tuple[Shop, _Judge]:
    """The shop, whose benchmark is scored by a judge of its own."""
    judge = _Judge()
    monkeypatch.setattr(evaluate, "scoring_models", lambda *_: judge)
    include = shop.settings.include
    (include / "rubric.txt").write_text("All three values are copied from the message.", encoding="utf-8")
    _write_template(shop, "single")
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


class _Duellist(_Judge):
    """Takes the response that is JSON, whichever letter it has."""

    def next_word(self, conversations: Any, words: Any) -> list[Any]:
        self.asked += [asked[-1]["content"] for asked in conversations]
        first = [asked[-1]["content"].split("Response B")[0] for asked in conversations]
        return [dict(zip(words, _yes("Sure, the customer is" not in one).values(), strict=True)) for one in first]


@pytest.fixture
def unlabelled(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> tuple[Shop, _Judge]:
    """The shop of a team without labels: its holdout is judged, champion against candidate."""
    judge = _Duellist()
    monkeypatch.setattr(evaluate, "scoring_models", lambda *_: judge)
    (shop.settings.include / "rubric.txt").write_text("All three values are copied.", encoding="utf-8")
    _write_template(shop, "pairwise")
    told = {"model": "../judge-model", "rubric": "rubric.txt"}
    shop.change("validate.holdout", 0.4)
    shop.change(
        "tasks.tickets.benchmarks", [{"name": "duel", "format": "holdout", "primary": True, "limit": 2, "judge": told}]
    )
    return shop, judge


def test_without_labels_the_holdout_is_judged_in_both_orders(unlabelled: tuple[Shop, _Judge]) -> None:
    shop, judge = unlabelled
    run = _updated(shop)
    report = evaluate.run(run)
    (line,) = report.metrics["benchmarks"]
    assert (line["metric"], line["n"], line["control"]) == ("preference", 2, None)
    assert line["candidate"] > 0.95 and line["champion"] == pytest.approx(1 - line["candidate"])
    assert shop.asked == 4 and len(judge.asked) == 4, "two arms, then two orders of two pairs"
    held = {row["query_id"] for row in run.lake.read(PROMPTS, split="holdout").to_pylist()}
    rows = _rows(run, "champion") + _rows(run, "candidate")
    assert {row["item_id"] for row in rows} <= held and {row["output"] for row in rows} == {None}
    assert {row["reward"] for row in rows} == {0.0, 1.0} and report.metrics["contaminated"] == 0
    told = read_json(run.lake.artifacts(run.turn, run.run_id) / "report.json")
    for arm in ("champion", "candidate"):
        assert len(stored_report(run.lake, told, facts_of(told[arm])).benchmarks["duel"].items) == 2


def test_a_duels_scores_are_of_that_pair_alone(unlabelled: tuple[Shop, _Judge]) -> None:
    shop, judge = unlabelled
    run = _updated(shop)
    evaluate.run(run)
    again = evaluate.run(run)
    assert again.metrics["reused"] == 2 and shop.asked == len(judge.asked) == 4
    assert {row["reward"] for row in _rows(run, "candidate")} == {1.0}
    manifest = read_json(run.lake.artifacts(run.turn, run.run_id) / "candidate.json")
    (Path(manifest["path"]) / "generation_config.json").write_text("{}", encoding="utf-8")
    other = evaluate.run(run)
    assert other.metrics["candidate"] != again.metrics["candidate"]
    assert other.metrics["reused"] == 0 and shop.asked == len(judge.asked) == 8


def test_a_holdout_without_prompts_is_an_error(unlabelled: tuple[Shop, _Judge]) -> None:
    shop, _ = unlabelled
    shop.change("validate.holdout", 0.0)
    _nothing_is_written(shop, _updated(shop), DataError, r"benchmark duel: the holdout has no prompts of task tickets")
