"""A candidate is trained on the best responses; its manifest comes last."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tao_ops.backends import trl_trainer
from tao_ops.errors import DataError, EngineError, MissingInput, ModelError
from tao_ops.files import read_json
from tao_ops.models import model_ref
from tao_ops.stages import generate, ingest, score, update, validate
from tao_ops.tables import PROMPTS, REWARDS

Shop = Any


def _scored(shop: Shop, day: int = 21) -> Any:
    shop.log(day=day)
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
        f"candidate-{first.metrics['candidate']}", "candidate.json",
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


def test_a_query_that_has_become_an_exam_item_is_not_trained_on(shop: Shop) -> None:
    run = _scored(shop)
    before = update.run(run).rows_out
    row = run.lake.read(PROMPTS, split="train").to_pylist()[0]
    exam = shop.settings.include / "exam" / "items.jsonl"
    text = row["messages"][0]["content"]
    item = f'{{"item_id": "new", "messages": [{{"role": "user", "content": "{text}"}}], "reference": {{"a": "b"}}}}\n'
    exam.write_text(exam.read_text(encoding="utf-8") + item, encoding="utf-8")
    assert update.run(run).rows_out == before - 1


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
    shop.change("update.min_reward", 0.95)
    _refused(
        shop, DataError, r"only 0 of \d+ queries have a response with a reward of at least 0\.95, 4 are needed .* —"
    )


def test_a_folder_that_is_no_model_changes_nothing(shop: Shop) -> None:
    _scored(shop)
    (Path(shop.run().flywheel.model) / "tokenizer.json").unlink()
    _refused(shop, ModelError, r"not a model folder: no tokenizer\.json")


def test_a_turn_with_an_unscored_shard_is_not_trained_on(shop: Shop) -> None:
    shop.change("generate.shards", 2)
    run = _scored(shop)
    run.lake.delete(REWARDS, turn=run.turn, shard=1)
    with pytest.raises(MissingInput, match="have no reward .* run generate and score for every shard"):
        update.run(run)
