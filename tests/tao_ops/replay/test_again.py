"""A version's turn is run again elsewhere; where it comes out another, that is found and named."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tao_ops import runner, trained_rows
from tao_ops.errors import ConfigError, DataError, ModelError
from tao_ops.registry import Submission, open_registry
from tao_ops.replay.again import replay
from tao_ops.replay.result import Agreement
from tao_ops.replay.stored import STAGES
from tao_ops.stages import Run, Stage
from tao_ops.tables import EVALUATIONS, PROMPTS, QUERIES, RESPONSES, REWARDS, TABLES
from tests.tao_ops.conftest import NAMES

Made = Any


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_turn_comes_out_the_same_and_the_installation_is_only_read(made: Made) -> None:
    run = made.turn()
    before = _files(Path(run.lake.root))
    found = made.replay()
    assert {one.stage.value: one.agreement for one in found.stages} == dict.fromkeys(
        ("validate", "generate", "score", "update"), Agreement.EQUAL
    )
    assert found.agrees and found.first_difference is None and found.changed == []
    assert found.verdict() == "agrees: the same in every stage that could be compared"
    assert [one.promise for one in found.stages] == [None] * 4
    assert _files(Path(run.lake.root)) == before
    replayed = made.tmp / "replay" / "lake" / "artifacts"
    assert len(list(replayed.rglob("training_rows.parquet"))) == 1
    assert json.loads(json.dumps(found.as_dict()))["agrees"] is True


def test_responses_of_another_sampling_are_the_first_difference_and_the_rest_follows_from_it(made: Made) -> None:
    made.turn()
    start = made.shop.engines[-1].__class__._text

    def execute(stage: Stage, run: Run) -> Any:
        if stage is not Stage.GENERATE:
            return runner.execute(stage, run).as_dict()
        with pytest.MonkeyPatch.context() as patch:
            told = {"count": 0}

            def text(engine: Any, asked: Any) -> str:
                told["count"] += 1
                return "{}" if told["count"] % 5 == 0 else start(engine, asked)

            patch.setattr(made.shop.engines[-1].__class__, "_text", text)
            return runner.execute(stage, run).as_dict()

    found = made.replay(executed=execute)
    first = found.first_difference
    assert first is not None and first.stage is Stage.GENERATE and first.agreement is Agreement.DIFFERS
    assert first.promise is None and not found.agrees
    assert 0 < first.figures["equal_texts"] < first.figures["then"] == first.figures["now"]
    assert found.stages[0].agreement is Agreement.EQUAL
    assert found.stages[2].promise == "its input differs since generate"
    assert found.verdict().startswith("differs: first in generate, which promised the same: ")
    assert f"{first.figures['equal_texts']} of {first.figures['then']} responses have the same text" in found.verdict()


def test_another_package_voids_the_promise_and_is_told_up_front(made: Made) -> None:
    run = made.turn()
    made.edit(run, packages_digest="0000")
    recipe = Path(made.manifest(run)["path"]) / "recipe" / "packages.txt"
    recipe.write_text(f"{recipe.read_text(encoding='utf-8')}gone==1.0\n", encoding="utf-8")
    found = made.replay(until=Stage.VALIDATE)
    (change,) = found.changed
    assert (change.what, change.then, change.now) == ("packages", "gone==1.0", "none of them")
    assert "warning: not as it was: packages: then gone==1.0, now none of them" in made.shop.said
    assert found.stages[0].promise == "another packages" and found.agrees


def test_another_code_or_configuration_voids_the_promise_of_the_stages_that_it_ran(made: Made) -> None:
    run = made.turn()
    stages = made.manifest(run)["lineage"]["stages"]
    stages = [{**row, "config_digest": "1111"} if row["stage"] == "validate" else row for row in stages]
    made.edit(run, code_version="0.0.1+another", stages=stages)
    found = made.replay(until=Stage.GENERATE)
    assert [(one.what, one.then, one.stages) for one in found.changed] == [
        ("code", "0.0.1+another", (Stage.UPDATE, Stage.EVALUATE, Stage.GATE)),
        ("configuration", "1111", (Stage.VALIDATE,)),
    ]
    assert any(
        line.startswith("warning: not as it was: code of update, evaluate, gate: then") for line in made.shop.said
    )
    assert [one.promise for one in found.stages] == ["another configuration", None]


def test_the_rows_of_an_overwritten_table_are_read_at_their_version(made: Made) -> None:
    run = made.turn()
    kept = run.lake.read(PROMPTS).to_pylist()
    run.lake.write(PROMPTS, kept[:3], turn=run.turn, run_id="another")
    found = made.replay(until=Stage.VALIDATE)
    assert found.stages[0].agreement is Agreement.EQUAL and found.skipped == {}


def test_the_recipe_counts_and_not_the_configuration_of_now(made: Made) -> None:
    made.turn()
    made.shop.change("generate.policy", "adaptive")
    made.shop.change("seed", 5)
    (made.shop.settings.include / "prompt.txt").write_text("Do something else.", encoding="utf-8")
    assert made.replay().first_difference is None


def test_where_queries_are_gone_it_begins_at_generate_and_says_why(made: Made) -> None:
    run = made.turn()
    _forget(run, QUERIES)
    found = made.replay()
    assert [one.stage for one in found.stages] == [Stage.GENERATE, Stage.SCORE, Stage.UPDATE] and found.agrees
    assert found.skipped == {"validate": "the turn's queries are gone: expired, replaced or erased"}


def test_where_all_rows_are_gone_what_lies_beside_the_candidate_is_left(made: Made) -> None:
    run = made.turn()
    for table in (QUERIES, PROMPTS, RESPONSES, REWARDS):
        _forget(run, table)
    with pytest.raises(ConfigError, match="nothing to replay: before evaluate the rows of the turn are gone"):
        made.replay()
    with pytest.raises(DataError, match="update cannot be replayed: the turn's prompts and responses and rewards are"):
        made.replay(folder="other", start=Stage.UPDATE)


def test_one_stage_alone_on_stored_input(made: Made) -> None:
    made.turn()
    found = made.replay(start=Stage.SCORE, until=Stage.SCORE)
    assert [one.stage for one in found.stages] == [Stage.SCORE] and found.agrees
    assert found.skipped == {"validate": "not asked for", "generate": "not asked for"}


def test_a_version_whose_rows_were_erased_is_refused_with_that_reason(made: Made) -> None:
    run = made.turn()
    query_id = run.lake.read(PROMPTS, split="train").to_pylist()[0]["query_id"]
    (candidate,) = trained_rows.candidates(run.lake, "shop")
    trained_rows.erase(candidate, lambda turn, query: query == query_id, datetime.now(UTC))
    with pytest.raises(
        DataError, match=r"version 1 of shop cannot be replayed: 1 rows that it was trained on were eras"
    ):
        made.replay()
    assert not (made.tmp / "replay").exists()


def test_a_version_of_an_earlier_release_is_refused_with_that_reason(made: Made) -> None:
    run = made.turn()
    path = Path(made.manifest(run)["path"]) / "manifest.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    del told["lineage"]["recipe"]
    path.write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(DataError, match="made by a release that kept no recipe"):
        made.replay()


def test_another_champion_in_its_folder_is_an_error(made: Made) -> None:
    made.turn()
    (Path(made.shop.run().flywheel.model) / "config.json").write_text('{"architectures": ["Other"]}', encoding="utf-8")
    with pytest.raises(ModelError, match="the champion of then, version 0, was "):
        made.replay()


def test_a_lost_recipe_and_a_folder_in_use_are_errors(made: Made) -> None:
    run = made.turn()
    with pytest.raises(ConfigError, match="a replay needs an empty folder"):
        made.replay(folder="home")
    shutil.rmtree(Path(made.manifest(run)["path"]) / "recipe")
    with pytest.raises(ConfigError, match="the recipe is lost"):
        made.replay()


def test_earlier_turns_are_lent_as_far_as_the_stages_read_them(made: Made) -> None:
    made.shop.change("update.window", 2)
    made.turn(20, texts=[f"{name} here, my lamp never came to Lisbon." for name in NAMES])
    made.turn(21)
    made.turn(22)
    found = made.replay(2)
    assert found.turn == "2026-11-21T00:00Z" and found.agrees and found.first_difference is None
    lake = Path(made.tmp / "replay" / "lake")
    assert lake.is_dir() and found.stages[-1].figures["rows"][0] > 12


def test_scores_are_compared_too_and_are_all_that_is_left_where_the_rows_are_gone(made: Made) -> None:
    run = made.turn()
    runner.execute(Stage.EVALUATE, run)
    found = made.replay(until=Stage.EVALUATE)
    assert found.stages[-1].stage is Stage.EVALUATE and found.stages[-1].agreement is Agreement.EQUAL
    for table in (QUERIES, PROMPTS, RESPONSES, REWARDS):
        _forget(run, table)
    found = made.replay(until=Stage.EVALUATE, folder="other")
    assert [(one.stage, one.agreement) for one in found.stages] == [(Stage.EVALUATE, Agreement.EQUAL)]
    assert set(found.skipped) == {"validate", "generate", "score", "update"}
    run.lake.remove(EVALUATIONS, flywheel="shop")
    found = made.replay(until=Stage.EVALUATE, folder="third")
    assert found.stages[0].agreement is Agreement.UNKNOWN
    assert found.stages[0].what == "no scores of the candidate of then are left" and found.agrees


def test_a_later_version_is_replayed_from_the_champion_of_then(made: Made) -> None:
    first = made.manifest(made.turn(21))
    registry = open_registry(made.shop.settings.database_url, made.shop.settings)
    verdict = {"decision": "promote", "reasons": []}
    version = registry.register(
        Submission("shop", "2026-11-21T00:00Z", "manual__21", first, {"benchmarks": []}, verdict, "manifest.json")
    )
    registry.promote("shop", version, expected_champion=0, who="a test", why="it is better")
    second = made.manifest(made.turn(22))
    assert second["lineage"]["champion"] == {"version": version, "model_version": first["model_version"]}
    before = _files(Path(first["path"]))
    made.numbers.models = [("", made.numbers.models[0][1])] * version + made.numbers.models[1:]
    made.url = None  # a server of the replay's own: MLflow's database is one for each server
    found = made.replay(version + 1)
    assert found.agrees and found.first_difference is None and len(found.stages) == 4
    assert _files(Path(first["path"])) == before and registry.champion_version("shop") == version


def test_a_second_turn_is_replayed_to_its_verdict_against_the_champion_that_the_first_one_made(made: Made) -> None:
    registry = open_registry(made.shop.settings.database_url, made.shop.settings)
    for day in (21, 22):
        run = made.turn(day)
        for stage in (Stage.EVALUATE, Stage.GATE, Stage.REGISTER):
            runner.execute(stage, run)
    one, two = (one.version for one in registry.versions("shop")[-2:])
    second = made.manifest(run)
    assert second["lineage"]["champion"]["version"] == registry.champion_version("shop") == one == two - 1
    made.numbers.models = [("", made.numbers.models[0][1])] * one + made.numbers.models[1:]
    made.url = None
    before = _files(Path(run.lake.root))
    found = made.replay(two, until=Stage.GATE)
    assert found.verdict() == "agrees: the same in every stage that could be compared"
    assert {one.stage: one.agreement for one in found.stages} == dict.fromkeys(STAGES, Agreement.EQUAL)
    arms = ("champion", "control", "candidate")
    assert found.stages[-2].figures["means"] == {f"exam/{arm}": [1.0, 1.0] for arm in arms}
    assert found.stages[-1].what == "undecided, from the same findings"
    assert _files(Path(run.lake.root)) == before and len(registry.versions("shop")) == two


def test_a_verdict_is_that_of_the_months_test_that_it_was(made: Made) -> None:
    registry = open_registry(made.shop.settings.database_url, made.shop.settings)
    now = datetime.now(UTC)
    for name in ("one", "two"):
        registry.test_number("shop", champion=0, candidate=name, at=now, timezone=made.shop.run().flywheel.timezone)
    run = made.turn()
    for stage in (Stage.EVALUATE, Stage.GATE):
        runner.execute(stage, run)
    found = made.replay(start=Stage.EVALUATE, until=Stage.GATE)
    gate = found.stages[-1]
    assert (gate.agreement, gate.promise, gate.figures["test"]) == (Agreement.EQUAL, None, [3, 3])
    path = run.lake.artifacts(run.turn, run.run_id) / "verdict.json"
    then = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**then, "decision": "reject", "reasons": ["it was a bad day"]}), encoding="utf-8")
    found = made.replay(start=Stage.EVALUATE, until=Stage.GATE, folder="other")
    gate = found.stages[-1]
    assert gate.agreement is Agreement.DIFFERS and gate.what.startswith(f"reject then, {then['decision']} now: exam: ")
    path.unlink()
    gate = made.replay(start=Stage.EVALUATE, until=Stage.GATE, folder="third").stages[-1]
    assert gate.agreement is Agreement.UNKNOWN and gate.what == "the verdict of then is gone"


def _forget(run: Run, table: Any) -> None:
    """As if its rows had expired, and the files of older versions had been deleted."""
    run.lake.remove(table, flywheel="shop")
    folder = Path(run.lake.root) / table.name
    for path in folder.rglob("*.parquet"):
        path.unlink()
    assert table.name in TABLES and run.lake.read(table).num_rows == 0


def test_a_stage_runs_in_a_process_whose_places_are_the_replays_own(made: Made) -> None:
    run = made.turn()
    before = _files(Path(run.lake.root))
    found = replay(
        made.manifests(),
        1,
        lake=run.lake,
        settings=made.shop.settings,
        folder=made.tmp / "replay",
        until=Stage.VALIDATE,
        say=made.shop.said.append,
    )
    assert found.agrees and found.stages[0].agreement is Agreement.EQUAL
    assert _files(Path(run.lake.root)) == before
    assert (made.tmp / "replay" / "home" / "postgres").is_dir()
