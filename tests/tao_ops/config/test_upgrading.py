"""A YAML of an earlier release is written anew where something was renamed, and nowhere else."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tao_ops.cli import app
from tao_ops.config.upgrading import upgraded
from tao_ops.errors import ConfigError
from tao_ops.settings import PROJECT

OLD = """\
# Ours, since 2026.
name: shop      # strict_json is no name of ours
tasks:
  orders:
    scorers:
      - {keys: [customer], name: 'strict_json'}   # keep this
      - &own {name: strict_json, weight: 2}
  returns:
    scorers:
      - *own
      - name: mine
        kind: strict_json
        file: strict_json
"""


def test_what_was_renamed_is_written_anew_and_comments_stay() -> None:
    new, changes = upgraded(OLD, "shop.yaml")
    expected = OLD.replace("name: 'strict_json'", "name: json_schema").replace("name: strict_json", "name: json_schema")
    assert new == expected.replace("kind: strict_json", "kind: json_schema")
    assert changes == [f"line {line}: strict_json is json_schema now" for line in (6, 7, 12)]
    assert upgraded(new, "shop.yaml") == (new, [])


def test_a_file_that_is_no_yaml_is_named() -> None:
    with pytest.raises(ConfigError, match=r"not a YAML file: .*\[shop.yaml\]"):
        upgraded("tasks: {", "shop.yaml")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example's YAML as an earlier release had it, in a folder of the test's own."""
    shutil.copytree(PROJECT / "include", tmp_path / "include")
    monkeypatch.setenv("TAO_INCLUDE", str(tmp_path / "include"))
    file = tmp_path / "include" / "flywheels" / "tickets.yaml"
    file.write_text(file.read_text("utf-8").replace("name: json_schema", "name: strict_json"), encoding="utf-8")
    file.chmod(0o640)
    return file


def _upgrade(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["config", "upgrade", *arguments])


def test_one_command_upgrades_every_flywheel(file: Path) -> None:
    old = file.read_text("utf-8")
    told = _upgrade("--dry-run").stdout
    assert f"{file}, line " in told and "strict_json is json_schema now" in told and file.read_text("utf-8") == old
    done = _upgrade()
    assert done.exit_code == 0 and done.stdout.endswith("tickets: its keys are those of this release\n")
    assert file.read_text("utf-8") == (PROJECT / "include" / "flywheels" / "tickets.yaml").read_text("utf-8")
    assert file.stat().st_mode & 0o777 == 0o640
    assert _upgrade("tickets").stdout == "tickets: its keys are those of this release\n"


def test_what_cannot_be_upgraded_is_said(file: Path) -> None:
    file.write_text(f"{file.read_text('utf-8')}speed: 3\n", encoding="utf-8")
    assert "unknown key" in (failed := _upgrade()).stderr and failed.exit_code == 1
    assert "there is no flywheel 'ticket'" in _upgrade("ticket").stderr
