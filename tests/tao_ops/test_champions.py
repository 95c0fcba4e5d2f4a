from dataclasses import replace
from pathlib import Path

import pytest

from tao_ops import champions, registry
from tao_ops.config import load_flywheel
from tao_ops.errors import ModelError
from tao_ops.records import ModelRef
from tao_ops.settings import Settings

FILES = {
    "config.json": '{"architectures": ["Tiny"]}',
    "tokenizer.json": "{}",
    "tokenizer_config.json": '{"chat_template": "x"}',
    "model.safetensors": "weights",
}


def model(folder: Path) -> Path:
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def flywheel(path: Path) -> champions.Flywheel:
    return load_flywheel("tickets").model_copy(update={"model": str(path)})


def test_without_a_champion_the_base_model_is_version_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "champion", lambda url, name: None)
    found = champions.champion(flywheel(model(tmp_path / "base")), "", Settings.from_env())
    assert (found.version, found.path) == (0, str(tmp_path / "base"))


def test_a_base_folder_that_is_no_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "champion", lambda url, name: None)
    with pytest.raises(ModelError, match=f"does not exist .{tmp_path}/nowhere"):
        champions.champion(flywheel(tmp_path / "nowhere"), "", Settings.from_env())


def test_a_champion_whose_folder_was_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model(tmp_path / "tuned")
    recorded = ModelRef(str(folder), champions.model_ref(folder).model_version, 4)
    monkeypatch.setattr(registry, "champion", lambda url, name: recorded)
    assert champions.champion(flywheel(folder), "", Settings.from_env()) == replace(recorded)
    (folder / "model.safetensors").write_text("other weights", encoding="utf-8")
    with pytest.raises(ModelError, match="version 4 of tickets was registered as"):
        champions.champion(flywheel(folder), "", Settings.from_env())
