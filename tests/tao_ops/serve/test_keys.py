"""API keys: made, kept as hashes, found, taken back."""

import json
from pathlib import Path

import pytest

from tao_ops.errors import ConfigError
from tao_ops.serve import keys as keys_module
from tao_ops.serve.keys import Keys, add_key, configured_keys, keys_of_text, read_keys, remove_key


def test_a_key_is_shown_once_and_kept_as_a_hash(tmp_path: Path) -> None:
    path = tmp_path / "new" / "keys.json"
    key = add_key(path, "shop")
    assert key not in path.read_text(encoding="utf-8") and path.stat().st_mode & 0o777 == 0o600
    found = Keys(path).find(key)
    assert found is not None and (found.name, found.admin) == ("shop", False)
    assert Keys(path).find(key[:-1]) is Keys(path).find("") is Keys(path).find(found.sha256) is None
    with pytest.raises(ConfigError, match="there is a key 'shop' already"):
        add_key(path, "shop")
    with pytest.raises(ConfigError, match="no name of a key"):
        add_key(path, "a b")


def test_a_server_that_runs_sees_what_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_module, "_LOOK_S", 0.0)
    path, said = tmp_path / "keys.json", list[str]()
    first = add_key(path, "shop")
    keys = Keys(path, say=said.append)
    second = add_key(path, "root", admin=True)
    assert (found := keys.find(second)) and found.admin
    remove_key(path, "shop")
    assert keys.find(first) is None and keys.find(second)
    path.write_text("{", encoding="utf-8")
    assert keys.find(second) and "the keys read before stay valid" in said[0]
    path.write_text('{"keys": []}', encoding="utf-8")
    assert keys.find(second) is None


def test_keys_of_the_environment() -> None:
    text = "shop=a-key-of-twenty-characters, admin:root=sha256:" + "0" * 64
    assert [(one.name, one.admin) for one in keys_of_text(text, "here")] == [("shop", False), ("root", True)]
    keys = configured_keys(None, {"AIRFLOW_VAR_TAO_SERVE_KEYS": text}, print)
    assert keys is not None and keys.find("a-key-of-twenty-characters")
    assert configured_keys(None, {}, print) is None
    for wrong in ("shop", "shop=short", "=a-key-of-twenty-characters", "shop=sha256:abc", '{"keys": 1}'):
        with pytest.raises(ConfigError) as raised:
            keys_of_text(wrong, "TAO_SERVE_KEYS")
        assert "short" not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"keys": [1]}', '{"keys": [{"name": "a"}]}', '{"keys": [{"name": "a", "sha256": "b"}]}']
)
def test_a_file_that_is_none_is_an_error_of_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="not a file of API keys"):
        read_keys(path)
    with pytest.raises(ConfigError, match="is missing"):
        read_keys(tmp_path / "other.json")
    with pytest.raises(ConfigError, match="not a file|there is no API key"):
        Keys(path)


def test_no_key_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": []}), encoding="utf-8")
    with pytest.raises(ConfigError, match="there is no API key"):
        Keys(path)
    with pytest.raises(ConfigError, match="there are: none"):
        remove_key(path, "shop")
