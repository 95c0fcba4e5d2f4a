"""The recipe holds what a flywheel was configured with, and nothing that is large or of a user."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tao_ops.config import load_flywheel
from tao_ops.errors import ConfigError
from tao_ops.lineage import recipe

Shop = Any


def _restored(shop: Shop, tmp_path: Path, files: Any) -> Path:
    target = tmp_path / "restored"
    recipe.restore(tmp_path / "recipe", files, include=shop.settings.include, home=shop.settings.home, target=target)
    return target


def test_a_flywheel_is_read_from_its_recipe_as_it_was(shop: Shop, tmp_path: Path) -> None:
    flywheel = shop.run().flywheel
    digest, files = flywheel.digest, recipe.write(flywheel, tmp_path / "recipe")["files"]
    (shop.settings.include / "prompt.txt").write_text("Another prompt.", encoding="utf-8")
    shop.change("seed", 7)
    again = load_flywheel("shop", replace(shop.settings, include=tmp_path / "recipe"))
    assert again.model_dump() == flywheel.model_dump() and again.digest == digest
    assert again.prompt("tickets") == "Read the message."
    prompt = hashlib.sha256(b"Read the message.\n").hexdigest()
    assert files["prompt.txt"] == {"sha256": prompt, "bytes": 18, "copied": True}
    assert {"expectations.json", "examples.jsonl", "exam", "prompt.txt"} == set(files)
    assert (tmp_path / "recipe" / "exam" / "items.jsonl").is_file()
    restored = load_flywheel("shop", replace(shop.settings, include=_restored(shop, tmp_path, files)))
    assert restored.tasks == flywheel.tasks
    assert "pyarrow==" in (tmp_path / "recipe" / "packages.txt").read_text(encoding="utf-8")


def test_whom_the_dag_tells_and_where_stages_run_is_not_kept_beside_the_model(shop: Shop, tmp_path: Path) -> None:
    shop.change("operation", {"owner": "somebody_else"})
    shop.change("launch", {"model": {"queue": "somewhere_else"}})
    flywheel = shop.run().flywheel
    recipe.write(flywheel, tmp_path / "recipe")
    assert "_else" not in (tmp_path / "recipe" / "flywheels" / "shop.yaml").read_text(encoding="utf-8")
    assert load_flywheel("shop", replace(shop.settings, include=tmp_path / "recipe")).digest == flywheel.digest


def test_writing_again_replaces_it(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe" / "old.txt").touch()
    recipe.write(shop.run().flywheel, tmp_path / "recipe")
    assert not (tmp_path / "recipe" / "old.txt").exists()


def test_what_is_large_is_known_by_its_digest_and_linked(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "LARGEST", 400)
    files = recipe.write(shop.run().flywheel, tmp_path / "recipe")["files"]
    assert not files["exam"]["copied"] and files["exam"]["bytes"] > 400
    assert not (tmp_path / "recipe" / "exam").exists()
    include = shop.settings.include
    assert recipe.changed(files, include) == []
    restored = _restored(shop, tmp_path, files)
    assert (restored / "exam" / "items.jsonl").read_bytes() == (include / "exam" / "items.jsonl").read_bytes()
    with (include / "exam" / "items.jsonl").open("a", encoding="utf-8") as file:
        file.write("\n")
    assert recipe.changed(files, include) == ["exam"]


def test_labelled_responses_and_databases_are_never_copied(shop: Shop, tmp_path: Path) -> None:
    include = shop.settings.include
    anchor = {
        "messages": [{"role": "user", "content": "Where is it?"}],
        "responses": [{"text": "There.", "correct": True}],
    }
    (include / "anchors.jsonl").write_text(json.dumps(anchor) + "\n", encoding="utf-8")
    (include / "shop.sqlite").write_bytes(b"rows")
    shop.change("tasks.tickets.calibration", {"anchors": "anchors.jsonl"})
    executed = {"name": "sql_execution", "sql": {"database": "shop.sqlite"}}
    shop.change("tasks.tickets.scorers", [{"name": "json_schema", "keys": ["city"]}, executed])
    files = recipe.write(shop.run().flywheel, tmp_path / "recipe")["files"]
    assert not files["anchors.jsonl"]["copied"] and not files["shop.sqlite"]["copied"]
    kept = {path.name for path in (tmp_path / "recipe").rglob("*") if path.is_file()}
    assert not kept & {"anchors.jsonl", "shop.sqlite"}
    (include / "shop.sqlite").unlink()
    assert recipe.changed(files, include) == ["shop.sqlite"]
    with pytest.raises(ConfigError, match="the recipe names it, too large or too private to be copied, and it is gone"):
        _restored(shop, tmp_path, files)


def test_a_lost_recipe_is_named(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the recipe is lost"):
        _restored(shop, tmp_path, {})
