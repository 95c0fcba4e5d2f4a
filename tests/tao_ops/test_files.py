"""A JSON file is whole or not there."""

from pathlib import Path

import pytest

from tao_ops.errors import DataError, MissingInput
from tao_ops.files import read_json, write_json


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"city": "Århus", "n": 1})
    write_json(tmp_path / "a.json", {"city": "São Paulo"})
    assert read_json(tmp_path / "a.json") == {"city": "São Paulo"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("value", [{"score": float("nan")}, {"score": object()}])
def test_a_value_that_is_no_json_leaves_the_old_file(tmp_path: Path, value: object) -> None:
    write_json(tmp_path / "a.json", {"n": 1})
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == {"n": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_failed_rename_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_json(tmp_path / "a.json", {"n": 1})
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"a\.json is missing .* — run update first"):
        read_json(tmp_path / "a.json", mend="run update first")
    for text in ("{", "[1]"):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(DataError, match=r"not a JSON .*a\.json"):
            read_json(tmp_path / "a.json")
