"""Responses of the champion, by every strategy, for the training prompts of a shard."""

import json
from typing import Any

import pytest

from tao_ops import runner
from tao_ops.errors import EngineError, MissingInput, ModelError
from tao_ops.stages import Stage, generate, ingest, validate
from tao_ops.tables import PROMPTS, RESPONSES

Shop = Any


@pytest.fixture
def shop(shop: Shop) -> Shop:
    shop.change("validate.holdout", 0.3)
    shop.log()
    return shop


def _validated(shop: Shop) -> Any:
    ingest.run(shop.run())
    validate.run(shop.run())
    return shop.run()


def _train_ids(shop: Shop) -> set[str]:
    rows = shop.run().lake.read(PROMPTS, split="train").to_pylist()
    return {row["query_id"] for row in rows}


def _responses(shop: Shop, **where: Any) -> list[dict[str, Any]]:
    rows = shop.run().lake.read(RESPONSES, **where).to_pylist()
    return sorted(rows, key=lambda row: row["response_id"])


def test_every_training_prompt_is_sampled_by_every_strategy_and_no_other(shop: Shop) -> None:
    report = generate.run(_validated(shop))
    rows, train = _responses(shop), _train_ids(shop)
    assert 0 < len(train) < 12 and {row["query_id"] for row in rows} == train
    assert (report.rows_in, report.rows_out, report.tokens) == (len(train), 5 * len(train), 15 * len(train))
    assert report.metrics["samples"] == {"plain": len(train), "demonstrations": 4 * len(train)}
    for query in train:
        mine = [(row["strategy"], row["sample"]) for row in rows if row["query_id"] == query]
        assert sorted(mine) == [*(("demonstrations", i) for i in range(4)), ("plain", 0)]


def test_a_response_keeps_what_was_sampled(shop: Shop) -> None:
    report = generate.run(_validated(shop))
    row = _responses(shop, strategy="demonstrations")[0]
    assert row["text"] == f" {row['answer']}" and set(json.loads(row["answer"])) == {"customer", "product", "city"}
    assert row["token_ids"] == [1, 2, 3] and row["logprobs"] == pytest.approx([-0.5, -0.25, -0.1])
    assert row["finish_reason"] == "stop" and row["model_version"] == report.metrics["model_version"]
    assert len(row["strategy_version"]) == 16


def test_running_again_replaces_the_rows(shop: Shop) -> None:
    generate.run(_validated(shop))
    before = _responses(shop)
    generate.run(shop.run(run_id="manual__2"))
    assert [{**row, "run_id": "manual__1"} for row in _responses(shop)] == before


def test_shards_part_the_prompts_between_them(shop: Shop) -> None:
    shop.change("generate.shards", 3)
    _validated(shop)
    for shard in range(3):
        generate.run(shop.run(shard=shard))
    parts = [{row["query_id"] for row in _responses(shop, shard=shard)} for shard in range(3)]
    assert set.union(*parts) == _train_ids(shop) and sum(map(len, parts)) == len(_train_ids(shop))
    before = _responses(shop, shard=[0, 2])
    generate.run(shop.run(shard=1, run_id="manual__2"))
    assert _responses(shop, shard=[0, 2]) == before


def test_a_finished_shard_is_not_run_again_by_its_run_but_by_another(shop: Shop) -> None:
    for stage in (Stage.INGEST, Stage.VALIDATE, Stage.GENERATE):
        first = runner.execute(stage, shop.run())
    asked, version = shop.asked, shop.versions()["responses"]
    again = runner.execute(Stage.GENERATE, shop.run())
    assert shop.asked == asked and shop.versions()["responses"] == version
    assert (again.rows_in, again.rows_out) == (first.rows_in, first.rows_out)
    assert "finished already" in shop.said[-1]
    runner.execute(Stage.GENERATE, shop.run(run_id="manual__2"))
    assert shop.asked == 2 * asked


def test_a_shard_is_run_again_where_its_prompts_or_the_yaml_are_new(shop: Shop) -> None:
    for stage in (Stage.INGEST, Stage.VALIDATE, Stage.GENERATE, Stage.VALIDATE, Stage.GENERATE):
        runner.execute(stage, shop.run())
    assert len(shop.engines) == 2
    (shop.settings.include / "prompt.txt").write_text("Read it well.", encoding="utf-8")
    runner.execute(Stage.GENERATE, shop.run())
    assert len(shop.engines) == 3


def _refused(shop: Shop, kind: type[Exception], said: str) -> None:
    before = shop.versions()
    with pytest.raises(kind, match=said) as caught:
        generate.run(shop.run())
    assert "\n" not in str(caught.value)
    assert shop.versions() == before


def test_before_validate_it_says_so(shop: Shop) -> None:
    ingest.run(shop.run())
    _refused(shop, MissingInput, r"no prompts of this turn \[2026-11-21T00:00Z\] — run validate first")


def test_a_folder_that_is_no_model_changes_nothing(shop: Shop) -> None:
    _validated(shop)
    shop.change("model", str(shop.settings.home))
    _refused(shop, ModelError, r"not a model folder: no config\.json .* — name a folder")
    assert shop.engines == []


def test_an_engine_that_dies_changes_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    _validated(shop)

    def dies(*_: Any, **__: Any) -> None:
        raise EngineError("the engine died")

    monkeypatch.setattr("tao_ops.backends.start_engine", dies)
    _refused(shop, EngineError, "the engine died")
