import socket
from dataclasses import replace
from pathlib import Path

import pytest

from tao_ops import doctor
from tao_ops.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(Settings.from_env(), home=tmp_path, hash_key="a key", database_url=None)


def finding(settings: Settings, what: str) -> doctor.Finding:
    return next(one for one in doctor.examine(settings) if one.what.startswith(what))


def test_a_machine_that_runs_these_tests_lacks_nothing(settings: Settings) -> None:
    lacking = [one for one in doctor.examine(settings) if not one.ok]
    assert lacking == []


def test_a_missing_key_is_found_with_its_mend(settings: Settings) -> None:
    found = finding(replace(settings, hash_key=None), "key of the hashes")
    assert not found.ok
    assert "TAO_HASH_KEY" in str(found.mend)


def test_no_flywheel_is_found_with_its_mend(settings: Settings, tmp_path: Path) -> None:
    found = finding(replace(settings, include=tmp_path), "flywheels")
    assert (found.ok, found.found) == (False, "none")
    assert str(tmp_path) in str(found.mend)


def test_a_port_in_use_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("TAO_PORT", str(port))
        assert finding(settings, f"port {port}").found.startswith("in use")
