"""An item set is whole and named by its content, or one line says what to mend."""

import json
from pathlib import Path

import pytest

from tao_ops.benchmarks.item_set import load_item_set
from tao_ops.errors import ConfigError

_GOOD = {
    "item_id": "a",
    "messages": [{"role": "user", "content": "Where is Ana?"}],
    "reference": {"city": "Oslo"},
}


def _write(folder: Path, *lines: object) -> Path:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    (folder / "items.jsonl").write_text(text, encoding="utf-8")
    return folder


def test_items_are_read_in_order_and_the_version_follows_the_content(tmp_path: Path) -> None:
    first = load_item_set(_write(tmp_path, _GOOD, {**_GOOD, "item_id": "b"}, ""), "tickets")
    assert [item.item_id for item in first.items] == ["a", "b"]
    assert first.items[0].reference == {"city": "Oslo"}
    assert first.items[0].messages[-1]["content"] == "Where is Ana?"
    assert load_item_set(tmp_path, "other name").version == first.version
    assert len(first.version) == 16
    changed = load_item_set(_write(tmp_path, _GOOD, {**_GOOD, "item_id": "c"}), "tickets")
    assert changed.version != first.version


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ({**_GOOD, "item_id": "a"}, "'a' is there twice"),
        ({"item_id": "b", "messages": _GOOD["messages"]}, "without 'reference'"),
        ({**_GOOD, "item_id": 7}, "'item_id' is empty or of a wrong type"),
        ({**_GOOD, "item_id": "b", "messages": []}, "'messages' is empty"),
        ({**_GOOD, "item_id": "b", "messages": [{"role": "user", "content": " "}]}, "not blank"),
        ({**_GOOD, "item_id": "b", "messages": [{"role": "assistant", "content": "x"}]}, "not the user's"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load_item_set(_write(tmp_path, _GOOD, line), "tickets")
    assert f"{tmp_path / 'items.jsonl'}:2" in str(caught.value)
    assert "—" in str(caught.value)


def test_a_missing_or_empty_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"benchmark tickets cannot be read.*items\.jsonl"):
        load_item_set(tmp_path / "nowhere", "tickets")
    with pytest.raises(ConfigError, match="has no items"):
        load_item_set(_write(tmp_path, ""), "tickets")
