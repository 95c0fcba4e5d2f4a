"""The command line of a stage."""

from pathlib import Path

import pytest

from tao_ops.errors import ConfigError
from tao_ops.launch.stage import remote_report, stage_command


def test_changes_to_the_yaml_reach_the_stage_as_options_of_their_own() -> None:
    changes = ["update.method=dpo", "generate.budget.tokens=5000"]
    command = stage_command("update", "tickets", "2026-11-21T00:00Z", "r", overrides=changes, python="python")
    assert command[:3] == ["python", "-m", "tao_ops.cli"]
    assert command[-4:] == ["--set", "update.method=dpo", "--set", "generate.budget.tokens=5000"]
    assert "--set" not in stage_command("update", "tickets", "2026-11-21T00:00Z", "r", python="python")


def test_a_stage_on_another_machine_reports_beside_its_runs_artifacts() -> None:
    what = ("tickets", "2026-11-21T00:00Z", "manual__1")
    folder = Path("/lake/artifacts/tickets/2026-11-21T00-00Z/manual__1/reports")
    assert remote_report("/lake", *what, "score", 3) == folder / "score-3.json"
    assert remote_report("/lake", *what, "update") == folder / "update.json"
    with pytest.raises(ConfigError, match="this lake is no folder"):
        remote_report("s3://lake", *what, "update")
