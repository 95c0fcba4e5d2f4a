"""Any version on any benchmark: its figures, what is asked again, and that nothing moves."""

import json
import secrets
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from tao_ops.benchmarks import paired
from tao_ops.cli import app
from tao_ops.evaluating import one_version
from tao_ops.files import read_json
from tao_ops.models import model_digest
from tao_ops.registry import Submission, open_registry
from tao_ops.stages import evaluate, generate, ingest, score, update, validate
from tao_ops.tables import EVALUATIONS

Shop = Any
DUEL = {"name": "duel", "format": "holdout", "limit": 2, "judge": {"model": "../judge-model", "rubric": "rubric.txt"}}


class _Judge:
    """Takes the response that is JSON, whichever letter it has."""

    def judge(self, config: Any) -> "_Judge":
        return self

    def next_word(self, conversations: Any, words: Any) -> list[Any]:
        first = ["Sure, the customer is" not in asked[-1]["content"].split("Response B")[0] for asked in conversations]
        return [dict(zip(words, (-0.01, -4.6) if is_first else (-4.6, -0.01), strict=True)) for is_first in first]


@pytest.fixture
def registered(shop: Shop) -> tuple[Shop, str]:
    """The shop and its version that answers everything right and never was the champion.

    MLflow's part of the registry is one for all tests of the session: the version has any number.
    """
    base = Path(yaml.safe_load((shop.settings.include / "flywheels" / "shop.yaml").read_text("utf-8"))["model"])
    folder = shop.settings.home / "models" / "one"
    shutil.copytree(base, folder)
    (folder / "trained").touch()
    (folder / "generation_config.json").write_text('{"of": "version 1"}', encoding="utf-8")
    facts = {"model_version": model_digest(folder), "architecture": "Tiny", "parameters": 6, "dtype": "BF16"}
    candidate = {**facts, "path": str(folder), "base": {"version": 0, "model_version": "b"}, "method": "raft"}
    candidate |= {"hyperparameters": {"epochs": 3}}
    (folder / "manifest.json").write_text(json.dumps(candidate), encoding="utf-8")
    report = {"benchmarks": [{"name": "exam", "primary": True, "candidate": 1.0, "delta": 1.0}]}
    verdict = {"decision": "undecided", "reasons": ["too few items"], "champion": {"version": 0}}
    lineage = str(folder / "manifest.json")
    made = Submission("shop", "2026-11-21T00:00Z", secrets.token_hex(4), candidate, report, verdict, lineage)
    return shop, str(open_registry(shop.settings.database_url, shop.settings).register(made))


def _tao(*words: str) -> Result:
    return CliRunner().invoke(app, ["registry", "evaluate", "shop", *words])


def _line(*words: str) -> dict[str, Any]:
    done = _tao(*words, "--json")
    assert done.exit_code == 0, done.stderr
    (line,) = json.loads(done.stdout)["benchmarks"]
    return dict(line)


def _champion(shop: Shop) -> int:
    return int(open_registry(shop.settings.database_url, shop.settings).champion_version("shop"))


@pytest.mark.parametrize("which", ["a version", "the base", "the champion"])
def test_a_version_is_scored_with_an_interval_and_nothing_moves(registered: tuple[Shop, str], which: str) -> None:
    shop, version = registered
    before = shop.versions()
    line = _line(*{"a version": [version], "the base": ["0"], "the champion": []}[which])
    right = float(which == "a version")
    low, high = paired.mean_interval([right] * 6)
    assert [line[key] for key in ("name", "metric", "n", "score")] == ["exam", "exact_json", 6, right]
    assert (line["low"], line["high"]) == (low, high) and high - low > 0.3
    assert shop.asked == 6 and shop.versions() == before and _champion(shop) == 0


def test_the_table_has_the_figures_and_the_report_is_kept(registered: tuple[Shop, str]) -> None:
    shop, version = registered
    done = _tao(version, "--benchmark", "exam", "--limit", "4")
    assert done.exit_code == 0, done.stderr
    assert f"version {version} on exam: 4 items" in done.stdout
    (row,) = [line.split() for line in done.stdout.splitlines() if line.startswith("exam ")]
    assert row == ["exam", "exact_json", "4", "100.0", "%", "[51.0,", "100.0]", "new"]
    path = Path(done.stdout.splitlines()[-1].removeprefix("report: "))
    report = read_json(path)
    assert (report["flywheel"], report["version"], report["benchmarks"][0]["n"]) == ("shop", int(version), 4)
    assert path.parent == Path(shop.settings.lake, "artifacts", "shop", "evaluations")


def test_slices_have_figures_of_their_own(registered: tuple[Shop, str]) -> None:
    shop, version = registered
    path = shop.settings.include / "exam" / "items.jsonl"
    items = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    told = [{**item, "market": "north" if n < 2 else "south"} for n, item in enumerate(items)]
    path.write_text("".join(f"{json.dumps(item)}\n" for item in told), encoding="utf-8")
    exam = {"name": "exam", "path": "exam", "primary": True, "slices": ["market"]}
    shop.change("tasks.tickets.benchmarks", [exam])
    slices = _line(version)["slices"]
    assert [(one["slice"], one["n"], one["score"]) for one in slices] == [
        ("market=north", 2, 1.0),
        ("market=south", 4, 1.0),
    ]


@pytest.fixture
def turned(shop: Shop) -> Shop:
    """The shop after a turn up to its registration."""
    shop.change("gate.guards", {"timed": 0})
    shop.log()
    for stage in (ingest, validate, generate, score, update, evaluate):
        stage.run(shop.run())
    shop.engines.clear()
    return shop


def test_what_a_turn_has_stored_is_not_asked_again_unless_it_would_differ(turned: Shop) -> None:
    before = turned.run().lake.read(EVALUATIONS).to_pylist()
    line = _line("0")
    assert (line["reused"], line["score"], turned.asked) == (True, 0.0, 0)
    (turned.settings.include / "prompt.txt").write_text("Read it well.", encoding="utf-8")
    assert _line("0")["reused"] is False and turned.asked == 6
    assert turned.run().lake.read(EVALUATIONS).to_pylist() == before


def test_on_a_holdout_a_version_meets_the_champion(
    registered: tuple[Shop, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, version = registered
    monkeypatch.setattr(one_version, "scoring_models", lambda *_: _Judge())
    include = shop.settings.include
    (include / "rubric.txt").write_text("All three values are copied.", encoding="utf-8")
    shipped = Path(__file__).parents[3] / "include" / "prompts" / "judge" / "pairwise.txt"
    (include / "prompts" / "judge").mkdir(parents=True)
    shutil.copy(shipped, include / "prompts" / "judge" / "pairwise.txt")
    shop.change("validate.holdout", 0.4)
    shop.change("tasks.tickets.benchmarks", [{"name": "exam", "path": "exam", "primary": True}, DUEL])
    shop.log()
    for stage in (ingest, validate):
        stage.run(shop.run())
    line = _line(version, "--benchmark", "duel")
    assert (line["metric"], line["n"], line["against"]) == ("preference", 2, 0) and line["score"] > 0.95
    assert shop.asked == 4, "both arms"
    refused = _tao("0", "--benchmark", "duel")
    assert refused.exit_code == 1 and "compares a version with the champion, which this one is" in refused.stderr


def test_what_cannot_be_is_one_line_and_loads_no_model(registered: tuple[Shop, str]) -> None:
    shop, version = registered
    for words, said in {
        ("999",): "there is no version 999 of shop",
        (version, "--benchmark", "exams"): "there is no benchmark 'exams' [shop] — its benchmarks: exam",
    }.items():
        done = _tao(*words)
        assert (done.exit_code, said in done.stderr, done.stderr.count("\n")) == (1, True, 1), done.stderr
    (shop.settings.home / "models" / "one" / "model.safetensors").write_bytes(b"\x02" + b"\0" * 40)
    changed = _tao(version)
    assert changed.exit_code == 1 and "its folder now holds" in changed.stderr
    assert _tao(version, "--limit", "0").exit_code == _tao("-1").exit_code == 2
    assert shop.asked == 0
