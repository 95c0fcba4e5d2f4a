"""The command line of a stage."""

from tao_ops.launch.stage import stage_command


def test_changes_to_the_yaml_reach_the_stage_as_options_of_their_own() -> None:
    changes = ["update.method=dpo", "generate.budget.tokens=5000"]
    command = stage_command("update", "tickets", "2026-11-21T00:00Z", "r", overrides=changes, python="python")
    assert command[:3] == ["python", "-m", "tao_ops.cli"]
    assert command[-4:] == ["--set", "update.method=dpo", "--set", "generate.budget.tokens=5000"]
    assert "--set" not in stage_command("update", "tickets", "2026-11-21T00:00Z", "r", python="python")
