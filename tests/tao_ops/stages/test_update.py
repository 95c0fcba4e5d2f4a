"""A candidate is trained on what was found, by one method or two; its manifest comes last."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from tao_ops import erasure, prompts, registry
from tao_ops.backends import trl_trainer
from tao_ops.erasure_plan import Subject
from tao_ops.errors import DataError, EngineError, MissingInput, ModelError
from tao_ops.files import read_json
from tao_ops.lineage import rows
from tao_ops.models import model_ref
from tao_ops.stages import generate, ingest, score, update, validate
from tao_ops.tables import CLUSTERS, PROMPTS, QUERIES, RESPONSES, REWARDS
from tests.tao_ops.conftest import NAMES

Shop = Any


def _spied(monkeypatch: pytest.MonkeyPatch, look: Callable[[Any], Any]) -> None:
    """Let ``look`` see each job before it is trained."""
    train = trl_trainer.train

    def spy(job: Any, rewarder: Any, **how: Any) -> Any:
        look(job)
        return train(job, rewarder, **how)

    monkeypatch.setattr(trl_trainer, "train", spy)


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


def test_the_manifest_tells_of_rows_by_digest_and_the_recipe_lies_beside_it(shop: Shop) -> None:
    run = _scored(shop)
    held = {table.name: run.lake.read(table) for table in (QUERIES, PROMPTS, RESPONSES, REWARDS)}
    update.run(run)
    manifest = read_json(_folder(run) / "candidate.json")
    assert (manifest["flywheel"], manifest["turn"], manifest["run_id"]) == ("shop", run.turn.key, run.run_id)
    told = manifest["lineage"]
    versions = {name: shop.versions()[name] for name in held}
    assert told["rows"][run.turn.key] == {
        name: {"version": versions[name], **rows.digest(table)} for name, table in held.items()
    }
    assert set(told["tables"]) == {*held, "clusters", "quarantine", "turns"}
    assert told["seeds"]["update"] == manifest["seed"] == run.turn.seed(1, "update")
    assert told["champion"] == {"version": 0, "model_version": manifest["base"]["model_version"]}
    assert told["prompts"] == {"tickets": prompts.digest("Read the message.")}
    assert (_candidate(run) / "recipe" / "prompt.txt").read_text(encoding="utf-8") == "Read the message.\n"
    assert "Bela" not in json.dumps(told)  # nothing of a user


def test_it_trains_on_the_best_response_of_each_training_query_under_the_production_prompt(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.change("validate.holdout", 0.4)
    run = _scored(shop)
    given: list[Any] = []
    _spied(monkeypatch, lambda job: given.extend(job.examples))
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
    assert f"candidate-{first.metrics['candidate']}" in before and not [name for name in before if name[0] == "."]
    (_folder(run) / ".update" / "dpo.trainer").mkdir(parents=True)  # of another method, killed
    again = update.run(run)
    assert again.metrics == first.metrics
    assert sorted(path.name for path in _folder(run).iterdir()) == before


def test_a_failed_training_leaves_no_manifest(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _scored(shop)
    update.run(run)

    def fails(*_: Any, **__: Any) -> None:
        raise EngineError("the loss is not a number")

    monkeypatch.setattr(trl_trainer, "train", fails)
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
    assert "1 prompts of the window are kept from training now: benchmark_item" in shop.said


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


ONLY_GOOD = [{"name": "demonstrations", "samples": 4, "file": "examples.jsonl"}]


@pytest.mark.parametrize(
    ("method", "changed", "said"),
    [
        ("raft", {"update.min_reward": 0.99}, r"raft: only 0 of \d+ queries have .* at least 0\.99; 4 are needed .* —"),
        ("dpo", {}, r"dpo: only 0 of \d+ queries have .* at least 0\.5 and another answer at least 0\.2 below it"),
        ("kto", {}, r"kto learns from .*: none of \d+ queries has a bad one, with a reward of at most 0\.3"),
        ("kto", {"update.min_reward": 0.99}, r"kto: only 0 of \d+ queries have .* at least 0\.99, or of at most 0\.79"),
        (
            "grpo_offline",
            {},
            r"grpo_offline: only 0 of .* one with another reward: else all advantages are zero; 4 are",
        ),
        ("grpo", {"update.sampler": {"queries": 50}}, r"grpo: only \d+ of \d+ queries .* scored; 50 are needed"),
        ("raft", {"update.then": "grpo", "update.min_rows": 1, "update.sampler": {"queries": 50}}, "grpo: only"),
    ],
)
def test_too_little_to_learn_from_is_an_error_with_the_method_and_what_it_needs(
    shop: Shop, method: str, changed: dict[str, Any], said: str
) -> None:
    shop.change("tasks.tickets.strategies", ONLY_GOOD)
    run = _scored(shop)
    before = sorted(path.name for path in _folder(run).iterdir())
    for key, value in {"update.method": method, **changed}.items():
        shop.change(key, value)
    _refused(shop, DataError, said)
    assert sorted(path.name for path in _folder(run).iterdir()) == before


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


class Killed(BaseException):
    """Stands in for a kill."""


def _two_methods(shop: Shop) -> Any:
    shop.change("update.method", "dpo")
    shop.change("update.then", "grpo")
    shop.change("validate.holdout", 0.3)
    return _scored(shop)


def _killed_at(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """The process dies in the training by ``method``, when it has a checkpoint."""

    def die(job: Any) -> None:
        if job.method == method:
            job.scratch.mkdir(parents=True, exist_ok=True)
            (job.scratch / "checkpoint-1").touch()
            raise Killed

    _spied(monkeypatch, die)


def test_the_second_method_goes_on_from_what_the_first_made(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _two_methods(shop)
    jobs: list[Any] = []
    _spied(monkeypatch, jobs.append)
    report = update.run(run)
    first, second = jobs
    assert [job.method for job in jobs] == ["dpo", "grpo"] and first.base == first.champion == second.champion
    assert second.base.model_version not in (first.base.model_version, report.metrics["candidate"])
    assert {type(one).__name__ for one in first.examples} == {"Preference"}
    train = {row["query_id"] for row in run.lake.read(PROMPTS, split="train").to_pylist()}
    assert {one.query_id for one in second.examples} == train
    held = {row["query_id"] for row in run.lake.read(PROMPTS, split="holdout").to_pylist()}
    assert held and {one.query_id for one in second.holdout} == held and first.holdout == second.holdout
    told = read_json(_folder(run) / "candidate.json")
    assert told["method"] == "dpo" and told["hyperparameters"]["then"] == "grpo"
    assert told["base"]["model_version"] == first.base.model_version and json.dumps(report.as_dict())
    assert told["metrics"]["tokens"] == report.tokens == 80 and list(told["metrics"]["methods"]) == ["dpo", "grpo"]
    rows = pq.read_table(_candidate(run) / "training_rows.parquet").to_pylist()
    assert {(row["method"], row["role"]) for row in rows} == {("dpo", "chosen"), ("dpo", "rejected"), ("grpo", "query")}
    assert report.rows_out == told["rows"] == len(rows) and told["metrics"]["queries"] == len(train)


@pytest.mark.parametrize("method", ["dpo", "grpo"])
def test_a_killed_attempt_goes_on_with_the_method_that_it_was_at(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    run = _two_methods(shop)
    undisturbed = update.run(shop.run(run_id="manual__2")).metrics
    with monkeypatch.context() as patched:
        _killed_at(patched, method)
        with pytest.raises(Killed):
            update.run(run)
    assert not (_folder(run) / "candidate.json").exists()
    trained: list[tuple[str, bool]] = []
    _spied(monkeypatch, lambda job: trained.append((job.method, (job.scratch / "checkpoint-1").exists())))
    assert update.run(run).metrics == undisturbed
    assert trained == {"dpo": [("dpo", True), ("grpo", False)], "grpo": [("grpo", True)]}[method]
    assert not [path for path in _folder(run).iterdir() if path.name[0] == "."]


def test_what_was_begun_on_other_rows_or_settings_is_not_gone_on_with(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _two_methods(shop)
    with monkeypatch.context() as patched:
        _killed_at(patched, "grpo")
        with pytest.raises(Killed):
            update.run(run)
    trained: list[tuple[str, bool]] = []
    _spied(monkeypatch, lambda job: trained.append((job.method, (job.scratch / "checkpoint-1").exists())))
    shop.change("update.learning_rate", 0.01)
    update.run(shop.run())
    assert trained == [("dpo", False), ("grpo", False)]


def test_an_erasure_leaves_nothing_of_a_training_that_was_killed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    run = _two_methods(shop)
    with monkeypatch.context() as patched:
        _killed_at(patched, "grpo")
        with pytest.raises(Killed):
            update.run(run)
    begun = _folder(run) / ".update"
    assert {path.name for path in begun.iterdir()} == {"training_rows.parquet", "dpo", "dpo.json", "grpo.trainer"}
    rows = pq.read_table(begun / "training_rows.parquet").to_pylist()
    gone = rows[0]["query_id"]
    count = sum(row["query_id"] == gone for row in rows)
    where = {"lake": run.lake, "settings": run.settings, "url": run.database_url, "say": run.say}
    done = erasure.erase("shop", Subject(query_id=gone), dry_run=False, **where)
    assert done.training_rows == count > 1 and not begun.exists()
    assert not [path for path in _folder(run).iterdir() if path.name[0] == "."]
    trained: list[str] = []
    _spied(monkeypatch, lambda job: trained.append(job.method))
    update.run(run)
    left = pq.read_table(_candidate(run) / "training_rows.parquet").to_pylist()
    assert trained == ["dpo", "grpo"] and gone not in {row["query_id"] for row in left}


def test_the_rows_of_a_candidate_of_two_methods_are_erased_too(shop: Shop) -> None:
    run = _two_methods(shop)
    update.run(run)
    gone = pq.read_table(_candidate(run) / "training_rows.parquet").to_pylist()[0]["query_id"]
    where = {"lake": run.lake, "settings": run.settings, "url": run.database_url, "say": run.say}
    done = erasure.erase("shop", Subject(query_id=gone), dry_run=False, **where)
    left = pq.read_table(_candidate(run) / "training_rows.parquet").to_pylist()
    assert gone not in {row["query_id"] for row in left} and {"role", "unit", "weight", "method"} <= set(left[0])
    assert read_json(_folder(run) / "candidate.json")["erased"]["rows"] == done.training_rows > 1


def test_from_the_base_each_turn_starts_anew_and_is_compared_with_the_champion(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    update.run(_scored(shop, 20))
    champion = model_ref(_candidate(shop.run(20)), 1)
    monkeypatch.setattr(registry, "champion", lambda url, name: champion)
    run = _scored(shop)
    jobs: list[Any] = []
    _spied(monkeypatch, jobs.append)
    for start in ("champion", "base"):
        shop.change("update.start", start)
        update.run(shop.run())
    base = model_ref(Path(run.flywheel.model), 0)
    assert [(job.base, job.champion) for job in jobs] == [(champion, champion), (base, champion)]
    told = read_json(_folder(run) / "candidate.json")
    assert told["base"] == {"version": 0, "model_version": base.model_version}
    assert told["hyperparameters"]["start"] == "base"


def test_the_holdout_is_the_newest_of_it_and_the_same_on_every_installation(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.change("validate.holdout", 0.5)
    shop.change("update.watch", {"queries": 3})
    _scored(shop, 20, texts=[f"{name} here, my lamp never came to Lisbon." for name in ("Mo", "Ned", "Ole", "Pia")])
    run = _scored(shop)
    asked: list[list[str]] = []
    _spied(monkeypatch, lambda job: asked.append([one.messages[-1]["content"] for one in job.holdout]))
    update.run(run)
    rows = run.lake.read(PROMPTS).to_pylist()
    held = [row["messages"][0]["content"] for row in rows if row["split"] == "holdout" and row["turn"] == run.turn.key]
    assert len(held) > 3 and len(asked[0]) == 3 and set(asked[0]) <= set(held)
    other = shop.run(run_id="manual__2")
    renamed = [{**row, "query_id": f"{n}"} for n, row in enumerate(rows) if row["split"] == "holdout"]
    train = [row for row in rows if row["split"] != "holdout"]
    for day in (20, 21):
        turn = shop.run(day).turn
        mine = [row for row in renamed + train if row["turn"] == turn.key]
        run.lake.write(PROMPTS, mine, turn=turn, run_id="r")
    update.run(other)
    assert asked[1] == asked[0]


def _second_task(shop: Shop) -> None:
    """Questions whose answer is one word, and that exploration seldom finds."""
    tasks = yaml.safe_load((shop.settings.include / "flywheels" / "shop.yaml").read_text(encoding="utf-8"))["tasks"]
    scorers = [{"name": "regex", "pattern": "^.*Lyon.*$"}]
    other = {"benchmarks": [{"name": "other", "path": "exam"}], "scorers": scorers}
    shop.change("tasks.mails", {**tasks["tickets"], **other})
    for task in ("tickets", "mails"):
        shop.change(f"tasks.{task}.near_duplicates", 1.0)


def test_tasks_share_the_training_by_what_they_lack_and_are_told_of(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.change("validate.holdout", 0.3)
    _second_task(shop)
    tickets = [f"{name} here, my rain jacket never came to Den Haag." for name in NAMES]
    mails = [f"{name} here, my lamp never came to Lyon." for name in NAMES[:8]]
    lines = [
        shop.line(text, f"r{n}", metadata={"task": task})
        for n, (task, text) in enumerate([("tickets", t) for t in tickets] + [("mails", t) for t in mails])
    ]
    shop.log_lines(lines, name="2026-11-21.jsonl")
    for stage in (ingest, validate, generate, score):
        stage.run(shop.run())
    jobs: list[Any] = []
    _spied(monkeypatch, jobs.append)
    report = update.run(shop.run())
    told = report.metrics["tasks"]
    assert set(told) == {"tickets", "mails"} and told == report.metrics["methods"]["raft"]["tasks"]
    # The production prompt earns nothing of either: both lack all, and the smaller one is repeated.
    assert told["mails"]["need"] == told["tickets"]["need"] == 1.0
    assert told["mails"]["queries"] < told["tickets"]["queries"]
    assert told["mails"]["examples"] == told["tickets"]["examples"] and told["mails"]["share"] == 0.5
    assert len(jobs[0].examples) == told["mails"]["examples"] + told["tickets"]["examples"]
    for one in told.values():
        assert one["holdout_queries"] > 0 and one["holdout_reward_before"] == 0.0 and one["holdout_reward"] > 0.5
    assert sum(one["holdout_queries"] for one in told.values()) == len(jobs[0].holdout)
    assert any(line.startswith(f"mails: {told['mails']['examples']} examples of ") for line in shop.said)
    shop.change("update.balance", "none")
    told = update.run(shop.run()).metrics["tasks"]
    assert told["mails"]["examples"] == told["mails"]["queries"] and told["mails"]["share"] < 0.5
