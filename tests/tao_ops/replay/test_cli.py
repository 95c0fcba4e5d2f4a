"""``tao lineage`` and ``tao replay``: what a person types, reads and gets back."""

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tao_ops import trained_rows
from tao_ops.cli import app
from tao_ops.replay import again
from tao_ops.tables import ERASURES, PROMPTS, QUERIES

Made = Any


def _tao(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})


def _error(*arguments: str) -> str:
    result = _tao(*arguments)
    assert result.exit_code == 1, result.output
    (line,) = result.stderr.splitlines()
    return line


def _json(*arguments: str) -> dict[str, Any]:
    result = _tao(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_version_and_all_that_made_it(made: Made) -> None:
    run = made.turn()
    found = _json("lineage", "shop", "1")
    manifest = made.manifest(run)
    assert (found["version"], found["turn"], found["run_id"]) == (1, "2026-11-21T00:00Z", "manual__21")
    assert found["bases"] == [{"version": 0, "model_version": manifest["base"]["model_version"]}]
    rows = found["training_rows"]
    assert rows["rows"] == rows["left"] == manifest["rows"] and rows["intact"] and found["replayable"]
    assert rows["queries"] == {"2026-11-21T00:00Z": manifest["rows"]}
    assert sum(rows["strategies"].values()) == manifest["rows"]
    told = found["lineage"]
    held = told["rows"]["2026-11-21T00:00Z"]
    assert set(held) == {"queries", "prompts", "responses", "rewards"}
    assert held["responses"]["rows"] == sum(one["rows"] for one in told["strategies"]["2026-11-21T00:00Z"])
    assert told["scorers"]["tickets"]["config"][0]["name"] == "json_schema"
    assert told["champion"] == {"version": 0, "model_version": manifest["base"]["model_version"]}
    assert [stage["stage"] for stage in told["stages"]] == ["ingest", "validate", "generate", "score"]
    assert told["engine"]["name"] == "fake 1" and told["hardware"]["cores"] and told["packages"]["deltalake"]
    said = _tao("lineage", "shop", "1").stdout
    for words in (
        "shop version 1",
        "version 0 (",
        "the base model",
        f"training rows: {manifest['rows']}",
        "queries: 12 rows",
        "demonstrations (",
        "scorers",
        "fake 1",
        "seeds: flywheel 1",
        "4 files beside it, 0 by digest alone",
    ):
        assert words in said, said


def test_each_version_names_the_ones_before_it_and_a_lost_one_ends_the_chain(made: Made) -> None:
    first, second = made.turn(21), made.turn(22)
    path = Path(made.manifest(second)["path"]) / "manifest.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    one = made.manifest(first)
    path.write_text(json.dumps({**told, "base": {"version": 1, "model_version": one["model_version"]}}), "utf-8")
    query_id = first.lake.read(PROMPTS, split="train").to_pylist()[0]["query_id"]
    of_query = _json("lineage", "shop", "--of-query", query_id)
    assert {model["version"] for model in of_query["trained"]} == {1, 2} and of_query["descendants"] == []
    bases = _json("lineage", "shop", "2")["bases"]
    assert [base["version"] for base in bases] == [1, 0] and bases[0]["turn"] == "2026-11-21T00:00Z"
    (Path(one["path"]) / "manifest.json").unlink()
    assert "is lost" in _json("lineage", "shop", "2")["bases"][0]["lost"]
    assert "the manifest of version 1 of shop is lost" in _error("lineage", "shop", "1")


def test_what_is_not_there_is_one_error(made: Made) -> None:
    made.turn()
    assert "MLflow has no version 7 of shop" in _error("lineage", "shop", "7")
    assert "version 0 of shop was made by no turn" in _error("lineage", "shop", "0")
    assert "shop knows no query 'no-such'" in _error("lineage", "shop", "--of-query", "no-such")
    assert "give a version or --of-query, and not both" in _error("lineage", "shop")
    assert "'register' is no stage that is replayed" in _error("replay", "shop", "1", "--until", "register")
    assert "'gate' is no stage that is replayed from" in _error("replay", "shop", "1", "--from", "gate")
    assert "MLflow has no version 7 of shop" in _error("replay", "shop", "7")


def test_a_query_leads_to_the_versions_that_were_trained_on_it(made: Made) -> None:
    made.shop.change("validate.holdout", 0.4)
    run = made.turn()
    trained = run.lake.read(PROMPTS, split="train").to_pylist()[0]["query_id"]
    found = _json("lineage", "shop", "--of-query", trained)
    (turn,) = found["turns"].values()
    assert (found["split"], found["erased"], turn["prompt"]["count"]) == ("train", [], 1)
    assert len(turn["queries"]) == 1 and len(turn["responses"]) == 5
    assert all(row["reward"] is not None for row in turn["responses"])
    (model,) = found["trained"]
    assert model["version"] == 1 and model["rows"] == 1
    assert model["responses"][0]["response_id"].startswith(f"{trained}:demonstrations:")
    said = _tao("lineage", "shop", "--of-query", trained).stdout
    assert "trained on: version 1" in said and "5 responses" in said
    assert "jacket" not in json.dumps(found) and "jacket" not in said  # neither its text nor its answer
    held = run.lake.read(PROMPTS, split="holdout").to_pylist()[0]["query_id"]
    found = _json("lineage", "shop", "--of-query", held)
    assert found["split"] == "holdout" and found["trained"] == []
    assert "no model was trained on it" in _tao("lineage", "shop", "--of-query", held).stdout


def test_a_query_that_was_merged_or_erased_says_so(made: Made) -> None:
    run = made.turn()
    query_id = run.lake.read(PROMPTS, split="train").to_pylist()[0]["query_id"]
    run.lake.remove(PROMPTS, flywheel="shop", query_id=[query_id])
    assert "no prompt of its own" in _tao("lineage", "shop", "--of-query", query_id).stdout
    run.lake.remove(QUERIES, flywheel="shop", query_id=[query_id])
    row = {"flywheel": "shop", "user_hash": None, "query_id": query_id, "models": []}
    run.lake.append(ERASURES, [{**row, "erased_at": datetime(2026, 11, 25, tzinfo=UTC)}])
    assert "erased at 2026-11-25T00:00:00Z" in _tao("lineage", "shop", "--of-query", query_id).stdout


def test_an_erasure_is_told_and_forbids_the_replay(made: Made) -> None:
    run = made.turn()
    query_id = run.lake.read(PROMPTS, split="train").to_pylist()[0]["query_id"]
    (candidate,) = trained_rows.candidates(run.lake, "shop")
    trained_rows.erase(candidate, lambda turn, query: query == query_id, datetime(2026, 11, 25, tzinfo=UTC))
    said = _tao("lineage", "shop", "1").stdout
    assert "cannot be replayed: 1 rows that it was trained on were erased, at 2026-11-25" in said
    assert f"training rows: {candidate_rows(made, run)}, {candidate_rows(made, run) - 1} of them left" in said
    assert "cannot be replayed: 1 rows that it was trained on were erased" in _error("replay", "shop", "1")


def candidate_rows(made: Made, run: Any) -> int:
    """What the run's model was trained on."""
    return int(made.manifest(run)["rows"])


@pytest.fixture
def served(made: Made, monkeypatch: pytest.MonkeyPatch) -> Made:
    """A replay's server is one that runs already."""
    server = SimpleNamespace(url=lambda name: made.url, stop=lambda: None)
    monkeypatch.setattr(again, "start_embedded", lambda home: server)
    return made


def test_replay_says_where_it_differs_and_ends_with_three(served: Made) -> None:
    made, run = served, served.turn()
    told = made.manifest(run)["lineage"]["rows"]
    told["2026-11-21T00:00Z"]["prompts"]["digest"] = "0" * 32
    made.edit(run, rows=told)
    result = _tao("replay", "shop", "1", "--until", "validate", "--keep", str(made.tmp / "kept"))
    assert result.exit_code == 3, result.output
    last = result.stdout.splitlines()[-1]
    assert last.startswith("differs: first in validate, which promised the same: other prompts, ")
    assert (made.tmp / "kept" / "lake" / "prompts").is_dir()


def test_replay_that_agrees_ends_with_zero_and_leaves_nothing(served: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made = served
    made.turn()
    monkeypatch.setenv("TMPDIR", str(made.tmp / "scratch"))
    (made.tmp / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    result = _tao("replay", "shop", "1", "--until", "validate", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["agrees"] and found["folder"] is None
    assert [stage["agreement"] for stage in found["stages"]] == ["equal"]
    assert list((made.tmp / "scratch").glob("tao-replay-*")) == []
    assert "validate: equal (bit for bit)" in result.stderr
