"""Secrets: made once, kept, read by their owner alone."""

import json
import stat
from pathlib import Path

import pytest

from tao_ops.errors import ConfigError
from tao_ops.local.credentials import credentials, write_passwords


def test_they_are_made_once_and_only_the_owner_reads_them(tmp_path: Path) -> None:
    made = credentials(tmp_path / "home")
    assert credentials(tmp_path / "home") == made
    assert credentials(tmp_path / "other") != made
    assert len(made.jwt_secret) >= 64
    assert stat.S_IMODE((tmp_path / "home" / "secrets.json").stat().st_mode) == 0o600
    write_passwords(tmp_path / "passwords.json", made)
    assert json.loads((tmp_path / "passwords.json").read_text()) == {"admin": made.admin_password}
    assert stat.S_IMODE((tmp_path / "passwords.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{}", '{"hash_key": "x"}'])
def test_a_broken_file_is_named_and_not_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "secrets.json").write_text(text)
    with pytest.raises(ConfigError, match=r"secrets.json\] — it holds admin_password"):
        credentials(tmp_path)
    assert (tmp_path / "secrets.json").read_text() == text
