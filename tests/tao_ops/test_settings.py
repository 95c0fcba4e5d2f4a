"""Where things are, and how secrets are kept out of the environment."""

from pathlib import Path

import pytest

from tao_ops.errors import ConfigError
from tao_ops.settings import Settings

URL = "postgresql://tao:open%20sesame@db/tao"


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("TAO_DATABASE_URL", "TAO_HASH_KEY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    monkeypatch.setenv("TAO_HOME", str(tmp_path / "home"))


def test_secrets_are_read_from_files_as_container_engines_mount_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath("url").write_text(f"{URL}\n", encoding="utf-8")
    tmp_path.joinpath("key").write_text("hashes are keyed", encoding="utf-8")
    monkeypatch.setenv("TAO_DATABASE_URL_FILE", str(tmp_path / "url"))
    monkeypatch.setenv("TAO_HASH_KEY_FILE", str(tmp_path / "key"))
    settings = Settings.from_env()
    assert (settings.database_url, settings.hash_key) == (URL, "hashes are keyed")
    assert settings.require_hash_key() == b"hashes are keyed"


def test_the_variable_wins_over_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.joinpath("url").write_text("postgresql://elsewhere/tao", encoding="utf-8")
    monkeypatch.setenv("TAO_DATABASE_URL_FILE", str(tmp_path / "url"))
    monkeypatch.setenv("TAO_DATABASE_URL", URL)
    assert Settings.from_env().database_url == URL


def test_neither_variable_nor_file_means_the_embedded_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAO_DATABASE_URL_FILE", "")
    settings = Settings.from_env()
    assert (settings.database_url, settings.hash_key) == (None, None)
    with pytest.raises(ConfigError, match="set it to a long random text"):
        settings.require_hash_key()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"  \n", "is empty"),
        (b"first\nsecond\n", "has several lines"),
        (b"\xff\xfe", "cannot be read: not UTF-8"),
    ],
)
def test_a_file_that_holds_no_secret_is_named_and_what_it_holds_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, said: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("TAO_HASH_KEY_FILE", str(path))
    with pytest.raises(ConfigError) as caught:
        Settings.from_env()
    assert f"{path} {said} [TAO_HASH_KEY_FILE] — " in str(caught.value)
    assert "first" not in str(caught.value)
