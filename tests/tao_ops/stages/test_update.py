"""A candidate is trained on the best responses; its manifest comes last."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tao_ops.backends import trl_trainer
from tao_ops.errors import DataError, EngineError, MissingInput, ModelError
from tao_ops.files import read_json
from tao_ops.models import model_ref
from tao_ops.stages import generate, ingest, score, update, validate
from tao_ops.tables import CLUSTERS, PROMPTS, RESPONSES, REWARDS

Shop = Any


def _scored(shop: Shop, day: int = 21, **log: Any) -> Any:
    shop.log(day=day, **log)
    for stage in (ingest, validate, generate, score):
        stage.run(shop.run(day))
    return shop.run(day)


def _folder(run: Any) -> Path:
    folder: Path = run.lake.artifacts(run.turn, run.run_id)
    return folder


def _candidate(run: Any) -> Path:
    return Path(read_json(_folder(run) / "candidate.json")["path"])


def test_the_candidate_its_rows_and_its_manifest_lie_together(shop: Shop) -> None:
    run = _scored(shop)
    report = update.run(run)
    manifest = read_json(_folder(run) / "candidate.json")
    assert read_json(_candidate(run) / "manifest.json") == manifest
    base, candidate = model_ref(Path(run.flywheel.model)), model_ref(Path(manifest["path"]))
    assert candidate.model_version == manifest["model_version"] == report.metrics["candidate"]
    assert manifest["base"] == {"version": 0, "model_version": base.model_version}
    assert (manifest["architecture"], manifest["parameters"], manifest["dtype"]) == ("Tiny", 6, "BF16")
    assert manifest["lineage"]["turns"] == ["2026-11-21T00:00Z"]
    assert manifest["lineage"]["tables"]["responses"] == shop.versions()["responses"]
    assert manifest["lineage"]["config_digest"] == run.flywheel.digest
    assert report.rows_out == manifest["rows"] == len(pq.read_table(_candidate(run) / "training_rows.parquet"))


def test_it_trains_on_the_best_response_of_each_training_query_under_the_production_prompt(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.change("validate.holdout", 0.4)
    run = _scored(shop)
    given: list[Any] = []
    raft = trl_trainer.raft

    def spy(base: Any, examples: Any, *rest: Any, **how: Any) -> Any:
        given.extend(examples)
        return raft(base, examples, *rest, **how)

    monkeypatch.setattr(trl_trainer, "raft", spy)
    update.run(run)
    train = run.lake.read(PROMPTS, split="train").to_pylist()
    assert 4 <= len(train) < 12
    assert sorted(e.messages[1]["content"] for e in given) == sorted(r["messages"][0]["content"] for r in train)
    for example in given:
        name = example.messages[1]["content"].split()[0]
        assert example.messages[0] == {"role": "system", "content": "Read the message."} and len(example.messages) == 2
        assert example.response == f'{{"customer": "{name}", "product": "rain jacket", "city": "Den Haag"}}'
    rows = pq.read_table(_candidate(run) / "training_rows.parquet").to_pylist()
    assert {row["query_id"] for row in rows} == {row["query_id"] for row in train}


def test_running_again_makes_the_same_candidate_and_leaves_nothing_behind(shop: Shop) -> None:
    run = _scored(shop)
    first = update.run(run)
    before = sorted(path.name for path in _folder(run).iterdir())
    (_folder(run) / ".candidate").mkdir()
    again = update.run(run)
    assert again.metrics == first.metrics
    assert sorted(path.name for path in _folder(run).iterdir()) == before == [
        f"candidate-{first.metrics['candidate']}", "candidate.json", "data_docs", "exploration-0.png",
    ]  # fmt: skip


def test_a_failed_training_leaves_no_manifest(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _scored(shop)
    update.run(run)

    def fails(*_: Any, **__: Any) -> None:
        raise EngineError("the loss is not a number")

    monkeypatch.setattr(trl_trainer, "raft", fails)
    with pytest.raises(EngineError):
        update.run(run)
    assert not (_folder(run) / "candidate.json").exists()


def test_the_window_takes_the_turns_before_and_none_after(shop: Shop) -> None:
    for day in (19, 20, 21, 22):
        _scored(shop, day)
    shop.change("update.window", 2)
    run = shop.run(21)
    report = update.run(run)
    rows = pq.read_table(_candidate(run) / "training_rows.parquet").to_pylist()
    # The same queries on both days: the newest turn's responses count.
    assert {row["turn"] for row in rows} == {"2026-11-21T00:00Z"} and len(rows) == report.rows_out
    manifest = read_json(_folder(run) / "candidate.json")
    assert manifest["lineage"]["turns"] == ["2026-11-20T00:00Z", "2026-11-21T00:00Z"]


def _add_to_exam(shop: Shop, text: str) -> None:
    exam = shop.settings.include / "exam" / "items.jsonl"
    item = {"item_id": "new", "messages": [{"role": "user", "content": text}], "reference": {"a": "b"}}
    exam.write_text(f"{exam.read_text(encoding='utf-8')}{json.dumps(item)}\n", encoding="utf-8")


@pytest.mark.parametrize("change", [str, str.upper, "{}!".format])
def test_a_query_that_has_become_an_exam_item_is_not_trained_on(shop: Shop, change: Callable[[str], str]) -> None:
    run = _scored(shop)
    before = update.run(run)
    row = run.lake.read(PROMPTS, split="train").to_pylist()[0]
    _add_to_exam(shop, change(row["messages"][0]["content"]))
    report = update.run(run)
    assert report.rows_out == before.rows_out - 1
    assert before.metrics["kept_from_training"] == {}
    assert report.metrics["kept_from_training"] == {"benchmark_item": 1}
    assert shop.said[-2:-1] == ["1 prompts of the window are kept from training now: benchmark_item"]


def test_so_is_one_of_an_earlier_turn_of_the_window(shop: Shop) -> None:
    shop.change("update.window", 2)
    _scored(shop, 20, texts=[f"{name} here, my lamp never came to Lisbon." for name in ("Mo", "Ned", "Ole", "Pia")])
    before = update.run(_scored(shop)).rows_out
    row = shop.run().lake.read(PROMPTS, split="train", turn="2026-11-20T00:00Z").to_pylist()[0]
    _add_to_exam(shop, row["messages"][0]["content"])
    assert update.run(shop.run()).rows_out == before - 1


def test_a_query_that_the_holdout_has_come_near_is_not_trained_on(shop: Shop) -> None:
    run = _scored(shop)
    before = update.run(run).rows_out
    rows = run.lake.read(CLUSTERS, split="train").to_pylist()
    held = [{**rows[0], "split": "holdout", "query_id": "other"}]
    run.lake.write(CLUSTERS, held, turn=shop.run(22).turn, run_id="r")
    report = update.run(shop.run())
    assert report.rows_out == before - 1
    assert report.metrics["kept_from_training"] == {"holdout_match": 1}


def _refused(shop: Shop, kind: type[Exception], said: str) -> None:
    before, run = shop.versions(), shop.run()
    with pytest.raises(kind, match=said) as caught:
        update.run(run)
    assert "\n" not in str(caught.value) and shop.versions() == before
    assert not (_folder(run) / "candidate.json").exists()


def test_before_score_it_says_so(shop: Shop) -> None:
    _refused(shop, MissingInput, r"no rewards of this turn .* run score first")


def test_too_few_good_responses_are_an_error_with_the_counts(shop: Shop) -> None:
    _scored(shop)
    shop.change("update.min_reward", 0.99)
    _refused(
        shop, DataError, r"only 0 of \d+ queries have a response with a reward of at least 0\.99, 4 are needed .* —"
    )


def test_a_folder_that_is_no_model_changes_nothing(shop: Shop) -> None:
    _scored(shop)
    (Path(shop.run().flywheel.model) / "tokenizer.json").unlink()
    _refused(shop, ModelError, r"not a model folder: no tokenizer\.json")


def test_a_query_that_the_budget_did_not_reach_is_left_out(shop: Shop) -> None:
    shop.change("generate.budget", {"samples": 30})
    shop.change("generate.policy", "adaptive")
    run = _scored(shop)
    asked = {row["query_id"] for row in run.lake.read(RESPONSES).to_pylist()}
    run.lake.delete(RESPONSES, turn=run.turn, query_id=[min(asked)])
    assert update.run(run).rows_out == len(asked) - 1


def test_an_empty_answer_is_never_trained_on(shop: Shop) -> None:
    run = _scored(shop)
    before = update.run(run).rows_out
    rows = run.lake.read(RESPONSES).to_pylist()
    emptied = {rows[0]["query_id"]}
    told = [{**row, "answer": "" if row["query_id"] in emptied else row["answer"]} for row in rows]
    run.lake.write(RESPONSES, told, turn=run.turn, run_id=run.run_id, shard=0)
    assert update.run(run).rows_out == before - 1


def test_a_turn_with_an_unscored_shard_is_not_trained_on(shop: Shop) -> None:
    shop.change("generate.shards", 2)
    run = _scored(shop)
    run.lake.delete(REWARDS, turn=run.turn, shard=1)
    with pytest.raises(
        MissingInput, match="shard 1 has responses without a reward, or none .* run generate and score for every"
    ):
        update.run(run)
