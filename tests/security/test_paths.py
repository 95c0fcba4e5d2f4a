"""No name leads out of the folder that it names something in."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tao_ops.config import load_flywheel
from tao_ops.errors import ConfigError
from tao_ops.settings import PROJECT, Settings
from tao_ops.turn import path_safe

WAYS_OUT = ["../up", "..", "/etc/passwd", "a/../../b", "a\\..\\b", "a\x00b"]


@pytest.mark.parametrize("name", WAYS_OUT)
@pytest.mark.parametrize("of", ["flywheel", "task", "scorer"])
def test_a_name_of_the_yaml_is_a_word(tmp_path: Path, of: str, name: str) -> None:
    raw: dict[str, Any] = yaml.safe_load((PROJECT / "include" / "flywheels" / "tickets.yaml").read_text())
    task = raw["tasks"]["tickets"]
    if of == "flywheel":
        raw["name"] = name
    elif of == "task":
        raw["tasks"] = {name: task}
    else:
        task["scorers"][0]["name"] = name
    include = tmp_path / "include"
    include.mkdir()
    for folder in ("benchmarks", "example", "expectations", "prompts"):
        (include / folder).symlink_to(PROJECT / "include" / folder)
    (include / "flywheels").mkdir()
    (include / "flywheels" / "tickets.yaml").write_text(yaml.safe_dump(raw))

    with pytest.raises(ConfigError):
        load_flywheel("tickets", replace(Settings.from_env(), include=include))


@pytest.mark.parametrize("name", [*WAYS_OUT, ".", "...", ""])
def test_a_run_is_one_folder_whatever_its_id(name: str) -> None:
    safe = path_safe(name)

    assert Path("runs", safe).resolve().parent == Path("runs").resolve()
