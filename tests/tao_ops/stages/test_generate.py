"""Responses of the champion, by every strategy, for the training prompts of a shard."""

import json
from pathlib import Path
from typing import Any

import pytest

from tao_ops import runner
from tao_ops.errors import DataError, EngineError, MissingInput, ModelError
from tao_ops.models import model_ref
from tao_ops.stages import Stage, generate, ingest, validate
from tao_ops.tables import PROMPTS, RESPONSES, TURNS
from tests.tao_ops.backends.faulty_server import FaultyServer

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
    assert (row["round"], row["tokens"], row["temperature"]) == (1, 3, pytest.approx(0.8))
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


def _done(shop: Shop) -> Any:
    for stage in (Stage.INGEST, Stage.VALIDATE, Stage.GENERATE):
        report = runner.execute(stage, shop.run())
    return report


def test_a_finished_shard_is_not_run_again_by_its_run(shop: Shop) -> None:
    first = _done(shop)
    asked, version = shop.asked, shop.versions()["responses"]
    again = runner.execute(Stage.GENERATE, shop.run())
    assert shop.asked == asked and shop.versions()["responses"] == version
    assert (again.rows_in, again.rows_out) == (first.rows_in, first.rows_out)
    assert "finished already" in shop.said[-1]


def test_another_run_takes_what_was_sampled_from_the_same_model_and_configuration(shop: Shop) -> None:
    first = _done(shop)
    before, asked = _responses(shop), shop.asked
    again = runner.execute(Stage.GENERATE, shop.run(run_id="manual__2"))
    assert shop.asked == asked and len(shop.engines) == 1
    assert _responses(shop) == [{**row, "run_id": "manual__2"} for row in before]
    assert again.metrics == {**first.metrics, "reused": True} and again.tokens == first.tokens


@pytest.mark.parametrize(
    ("key", "value"),
    [("seed", 2), ("generate.policy", "adaptive"), ("tasks.tickets.max_tokens", 32), ("update.min_reward", 0.7)],
)
def test_what_was_sampled_otherwise_is_not_taken(shop: Shop, key: str, value: Any) -> None:
    _done(shop)
    shop.change(key, value)
    runner.execute(Stage.GENERATE, shop.run(run_id="manual__2"))
    assert len(shop.engines) == 2


def test_rows_that_were_erased_in_between_are_not_taken_for_all(shop: Shop) -> None:
    _done(shop)
    run = shop.run(run_id="manual__2")
    run.lake.delete(RESPONSES, turn=run.turn, query_id=[_responses(shop)[0]["query_id"]])
    runner.execute(Stage.GENERATE, run)
    assert len(shop.engines) == 2


def test_a_shard_is_sampled_again_where_its_prompts_or_the_yaml_are_new(shop: Shop) -> None:
    _done(shop)
    lines = [shop.line(f"{name} here, my lamp never came to Turin.", name) for name in ("Ada", "Ben", "Cyd")]
    shop.log_lines(lines, name="more.jsonl")
    _done(shop)
    assert len(shop.engines) == 2
    (shop.settings.include / "prompt.txt").write_text("Read it well.", encoding="utf-8")
    runner.execute(Stage.GENERATE, shop.run())
    assert len(shop.engines) == 3


def test_adaptive_exploration_spends_less_on_what_is_settled(shop: Shop) -> None:
    shop.change("generate.policy", "adaptive")
    report = generate.run(_validated(shop))
    queries = len(_train_ids(shop))
    assert report.metrics["settled"] == queries and report.metrics["short"] == 0
    assert report.rows_out < 5 * queries and max(row["round"] for row in _responses(shop)) > 1
    assert any(line.startswith("tickets/demonstrations: ") and "passed" in line for line in shop.said)


@pytest.mark.parametrize(("budget", "most"), [({"samples": 20}, 20), ({"tokens": 160}, 53)])
def test_a_turn_stays_inside_its_budget_over_all_shards(shop: Shop, budget: dict[str, int], most: int) -> None:
    shop.change("generate.shards", 2)
    shop.change("generate.budget", budget)
    _validated(shop)
    reports = [generate.run(shop.run(shard=shard)) for shard in range(2)]
    assert 0 < sum(report.rows_out for report in reports) <= most
    assert sum(report.tokens for report in reports) <= budget.get("tokens", 10**6)
    assert all(report.metrics["short"] > 0 for report in reports)
    assert sum(", at most " in line and line.endswith(*budget) for line in shop.said) == 2


def test_the_strategies_are_weighed_once_for_all_shards_whatever_comes_later(shop: Shop) -> None:
    shop.change("generate.policy", "adaptive")
    for day in (20, 21):
        shop.log(day=day)
    for day in (20, 21):
        for stage in (Stage.INGEST, Stage.VALIDATE, Stage.GENERATE):
            runner.execute(stage, shop.run(day=day))
    told = json.loads(shop.run().lake.read(TURNS, stage="validate", turn="2026-11-21T00:00Z").to_pylist()[0]["metrics"])
    kept = told["prior"]["tickets"]["demonstrations"]
    shop.change("seed", 3)
    runner.execute(Stage.GENERATE, shop.run(day=20))
    rerun = json.loads(
        shop.run().lake.read(TURNS, stage="generate", turn="2026-11-20T00:00Z").to_pylist()[0]["metrics"]
    )
    assert kept["samples"] > 0 and told["prior"] != {}
    assert generate._prior(shop.run(day=21))["tickets"]["demonstrations"].samples == kept["samples"]
    assert rerun["seed"] != told.get("seed")


def test_a_picture_of_what_strategies_found_lies_beside_the_run(shop: Shop) -> None:
    generate.run(_validated(shop))
    folder = shop.run().lake.artifacts(shop.run().turn, shop.run().run_id)
    assert (folder / "exploration-0.png").read_bytes().startswith(b"\x89PNG")
    assert f"exploration: {folder / 'exploration-0.png'}" in shop.said


def test_a_server_answers_in_the_champions_place_and_is_asked_again_each_time(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FaultyServer()
    try:
        monkeypatch.setenv("TEACHER_KEY", "sk-1234")
        price = {"prompt": 1.0, "response": 2.0}
        shop.change("generate.server", {"url": server.url, "model": "m", "api_key": "${TEACHER_KEY}", "price": price})
        report = generate.run(_validated(shop))
        asked = len(server.chats)
        again = generate.run(shop.run(run_id="manual__2"))
    finally:
        server.stop()
    rows = _responses(shop)
    assert rows and {row["model_version"] for row in rows} == {"server:m"} and shop.engines == []
    assert report.metrics["usage"]["requests"] > 0 and report.metrics["usage"]["cost"] > 0
    assert len(server.chats) > asked and not again.metrics["reused"]
    assert not any("sk-1234" in line for line in shop.said)


def test_where_nothing_could_be_sampled_nothing_is_written(shop: Shop) -> None:
    shop.change("generate.budget", {"tokens": 10})
    _validated(shop)
    _refused(shop, DataError, r"no response was sampled for \d+ prompts \[.*shard 0\] — raise generate\.budget")


def test_prompts_of_a_task_that_is_gone_are_named(shop: Shop) -> None:
    _validated(shop)
    shop.change("tasks", {"orders": shop.run().flywheel.model_dump(mode="json")["tasks"]["tickets"]})
    _refused(shop, MissingInput, "prompts of a task 'tickets' that the YAML has no more — run validate again")


def test_an_adapter_of_other_weights_is_another_model(shop: Shop) -> None:
    folder = shop.settings.include / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}", encoding="utf-8")
    shop.change("generate.adapter", "adapter")
    _validated(shop)
    versions = []
    for weights in (b"a", b"b", b"b"):
        (folder / "adapter_model.safetensors").write_bytes(weights)
        versions.append(runner.execute(Stage.GENERATE, shop.run(run_id=f"manual__{len(versions)}")).metrics)
    base = model_ref(Path(shop.run().flywheel.model)).model_version
    assert versions[0]["model_version"] != versions[1]["model_version"] == versions[2]["model_version"]
    assert all(one["model_version"].startswith(f"{base}+") for one in versions)
    assert [one["reused"] for one in versions] == [False, False, True]


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
