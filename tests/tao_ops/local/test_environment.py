from pathlib import Path

import pytest

from tao_ops.config import expand
from tao_ops.local.environment import empty_home


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
