"""Usage statistics are off in one place, and no setting of a user's switches them on by accident."""

import os

import pytest

from tao_ops import telemetry


def test_every_library_that_reports_home_is_told_not_to() -> None:
    quiet = telemetry.quiet_environment()
    off = {
        "DO_NOT_TRACK": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "GX_ANALYTICS_ENABLED": "False",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "SCARF_ANALYTICS": "false",
        "WANDB_MODE": "disabled",
    }
    assert off.items() <= quiet.items()


def test_statistics_are_off_whatever_was_set_and_chatter_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in telemetry.quiet_environment():
        monkeypatch.setenv(name, "before")
    telemetry.quiet()
    assert os.environ["VLLM_NO_USAGE_STATS"] == "1" and os.environ["GX_ANALYTICS_ENABLED"] == "False"
    assert os.environ["VLLM_LOGGING_LEVEL"] == "before"
