import subprocess
import sys
from pathlib import Path

import pytest

from tao_ops.config import expand
from tao_ops.local import environment
from tao_ops.local.credentials import credentials
from tao_ops.local.environment import empty_home, service_environment
from tao_ops.settings import PROJECT, Settings


def test_a_throw_away_home_knows_nothing_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TAO_DATABASE_URL", "TAO_LAKE", "TAO_HASH_KEY", "TAO_INCLUDE", "TAO_HOME"):
        monkeypatch.setenv(name, "the user's own")
    monkeypatch.setenv("TAO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TAO_PORT", "8080")
    env = empty_home(tmp_path / "home")
    tao = {name: value for name, value in env.items() if name.startswith("TAO_")}
    assert set(tao) == {"TAO_HOME", "TAO_PORT", "TAO_CACHE"}
    assert tao["TAO_HOME"] == str(tmp_path / "home") and tao["TAO_CACHE"] == str(tmp_path / "cache")
    assert tao["TAO_PORT"] != "8080"


def test_an_empty_home_means_the_default_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAO_HOME", "")
    assert expand("${TAO_HOME}/logs").endswith("/.tao/logs")


def test_stages_of_these_services_do_not_say_what_only_a_librarys_author_wants_to_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAO_HOME", str(tmp_path))
    monkeypatch.setattr(environment, "ensure_database", lambda url: None)
    env = service_environment(Settings.from_env(), "postgresql://a/tao", credentials(tmp_path), 8080)
    talk = "import warnings; from tao_ops import telemetry; telemetry.quiet(); warnings.warn('soon', FutureWarning)"
    done = subprocess.run(
        [sys.executable, "-c", talk], env=env, cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout + done.stderr == ""
