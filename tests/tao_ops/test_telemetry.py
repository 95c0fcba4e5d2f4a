"""Usage statistics are off in one place, and no setting of a user's switches them on by accident."""

import os
import subprocess
import sys

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


def said(code: str, **environment: str) -> list[str]:
    """What a process says in which libraries do this."""
    command = [
        sys.executable,
        "-c",
        f"import logging, warnings; from tao_ops import telemetry; telemetry.quiet(); {code}",
    ]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"} | environment
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60, check=True)
    return (done.stdout + done.stderr).splitlines()


def test_what_is_worth_a_warning_is_one_line_that_begins_as_the_stages_own() -> None:
    (line,) = said("warnings.warn('odd\\n  values', UserWarning)")
    assert line.startswith("warning: odd values [UserWarning, ")
    assert said("logging.getLogger('a.b').warning('%s left', 3); logging.getLogger('a').error('gone')") == [
        "warning: a.b: 3 left",
        "error: a: gone",
    ]


def test_what_only_a_librarys_author_wants_to_know_is_not_said_unless_asked_for() -> None:
    talk = "warnings.warn('soon', FutureWarning); logging.getLogger('a').info('step 1')"
    assert said(talk) == []
    assert len(said(talk, PYTHONWARNINGS="default")) == 1
