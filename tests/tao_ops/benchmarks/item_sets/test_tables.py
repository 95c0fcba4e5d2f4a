"""A table of one's own is whole and named by its content, or one line says what to mend."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tao_ops.benchmarks.item_sets import ItemSet, load_items
from tao_ops.config import BenchmarkConfig
from tao_ops.errors import ConfigError

_GOOD = {
    "item_id": "a",
    "messages": [{"role": "user", "content": "Where is Ana?"}],
    "reference": {"city": "Oslo"},
}


def _load(folder: Path, path: str = ".", **more: Any) -> ItemSet:
    return load_items(BenchmarkConfig(name="tickets", path=path, **more), lambda relative: folder / relative)


def _write(folder: Path, *lines: object) -> Path:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    (folder / "items.jsonl").write_text(text, encoding="utf-8")
    return folder


def _csv(folder: Path, text: str) -> Path:
    (folder / "items.csv").write_text(text, encoding="utf-8")
    return folder


def test_items_are_read_in_order_and_the_version_follows_the_content(tmp_path: Path) -> None:
    first = _load(_write(tmp_path, _GOOD, {**_GOOD, "item_id": "b"}, ""))
    assert [item.item_id for item in first.items] == ["a", "b"]
    assert first.items[0].reference == {"city": "Oslo"}
    assert first.items[0].messages[-1]["content"] == "Where is Ana?"
    assert first.version == hashlib.sha256((tmp_path / "items.jsonl").read_bytes()).hexdigest()[:16]
    changed = _load(_write(tmp_path, _GOOD, {**_GOOD, "item_id": "c"}))
    assert changed.version != first.version
    assert _load(tmp_path, limit=1).version != changed.version
    assert len(_load(tmp_path, limit=1).items) == 1


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ({**_GOOD, "item_id": "a"}, "'a' is there twice, first at .*items.jsonl:1"),
        ({"item_id": "b", "messages": _GOOD["messages"]}, "without 'reference'"),
        ({"messages": _GOOD["messages"], "reference": {"a": 1}}, "without 'item_id'"),
        ({"item_id": "b", "reference": {"a": 1}}, "without 'messages'"),
        ({**_GOOD, "item_id": 7}, "'item_id' is empty or of a wrong type"),
        ({**_GOOD, "item_id": "b", "reference": {}}, "'reference' is empty or of a wrong type"),
        ({**_GOOD, "item_id": "b", "messages": []}, "'messages' is empty"),
        ({**_GOOD, "item_id": "b", "messages": [{"role": "user", "content": " "}]}, "not blank"),
        ({**_GOOD, "item_id": "b", "messages": [{"role": "assistant", "content": "x"}]}, "not the user's"),
        ('{"item_id": "b", "messages": [], "reference": {"n": NaN}}', "NaN is no JSON"),
        ('{"item_id": "b", "item_id": "c"}', "a key is there twice"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        _load(_write(tmp_path, _GOOD, line))
    assert f"{tmp_path / 'items.jsonl'}:2" in str(caught.value)
    assert "—" in str(caught.value)


def test_a_missing_or_empty_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"benchmark tickets cannot be read.*items\.jsonl"):
        _load(tmp_path, "nowhere")
    with pytest.raises(ConfigError, match="has no items"):
        _load(_write(tmp_path, ""))
    (tmp_path / "items.jsonl").write_bytes(b'{"item_id": "a"}\n\xff\n')
    with pytest.raises(ConfigError, match=r"without 'messages'.*items\.jsonl:1"):
        _load(tmp_path)
    (tmp_path / "items.jsonl").write_bytes(b'"\xff"\n')
    with pytest.raises(ConfigError, match=r"not JSON in UTF-8.*items\.jsonl:1"):
        _load(tmp_path)


def test_which_of_two_files_is_not_guessed(tmp_path: Path) -> None:
    _csv(_write(tmp_path, _GOOD), "item_id,reference\na,b\n")
    with pytest.raises(ConfigError, match=r"has items\.jsonl and items\.csv"):
        _load(tmp_path)
    assert _load(tmp_path, "items.jsonl").items


def test_a_variable_in_the_path_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path, _GOOD)
    monkeypatch.setenv("EXAMS", str(tmp_path))
    assert _load(Path("/nowhere"), "${EXAMS}/items.jsonl").items[0].item_id == "a"
    with pytest.raises(ConfigError, match="is not set"):
        _load(tmp_path, "${EXAMS_OF_NOBODY}/items.jsonl")


def test_a_csv_with_a_template_asks_its_columns(tmp_path: Path) -> None:
    _csv(
        tmp_path,
        '\ufeffitem_id,text,category,channel\n1,"My card, please!\nNow.",card arrival,app\n2,Hello,greeting,\n',
    )
    (tmp_path / "ask.txt").write_text("For $$0: ${text}\n", encoding="utf-8")
    items = _load(tmp_path, template="ask.txt", metric="exact_text", slices=("channel",)).items
    assert items[0].messages == ({"role": "user", "content": "For $0: My card, please!\nNow."},)
    assert [item.reference for item in items] == [{"category": "card arrival"}, {"category": "greeting"}]
    assert [item.slices for item in items] == [{"channel": "app"}, {}]
    before = _load(tmp_path, template="ask.txt").version
    (tmp_path / "ask.txt").write_text("For $text", encoding="utf-8")
    assert _load(tmp_path, template="ask.txt").version != before


def test_a_reference_of_csv_is_an_object_a_text_or_columns(tmp_path: Path) -> None:
    (tmp_path / "ask.txt").write_text("$q", encoding="utf-8")

    def reference(text: str) -> object:
        return _load(_csv(tmp_path, text), template="ask.txt").items[0].reference

    assert reference('item_id,q,reference\n1,hi,"{""n"": 1}"\n') == {"n": 1}
    assert reference("item_id,q,reference\n1,hi,Oslo\n") == {"answer": "Oslo"}
    assert reference("item_id,q,reference.city,reference.day,note\n1,hi,Oslo,Monday,x\n") == {
        "city": "Oslo",
        "day": "Monday",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("item_id,q,q\n1,a,b\n", r"column 'q' is there twice \[.*items.csv:1\]"),
        ('item_id,q,r\n1,"a\nb",c\n2,a\n', r"2 cells under 3 columns \[.*items.csv:4\]"),
        ("q,r\na,b\n", r"without 'item_id' \[.*items.csv:2\]"),
        ('item_id,q,reference\n1,a,"{""n"": NaN}"\n', r"'reference' is not JSON.*items.csv:2"),
        ("item_id,text,r\n1,a,b\n", r"names column 'q', which is not there \[.*items.csv:2\] — .*item_id, r, text"),
        ("item_id,q,r\n1,,b\n", r"asks nothing \[.*items.csv:2\]"),
        ("item_id,q,r\n", "has no items"),
    ],
)
def test_a_wrong_csv_is_named_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "ask.txt").write_text("$q", encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        _load(_csv(tmp_path, text), template="ask.txt")


def test_a_csv_in_another_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_bytes("item_id,reference\n1,café\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"not UTF-8.*items\.csv:2"):
        _load(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [("costs $5", r"a '\$' that begins no name \[.*ask.txt:1\] — write \$\$"), (" ", "the template is empty")],
)
def test_a_wrong_template_is_named(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "ask.txt").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        _load(_csv(tmp_path, "item_id,q,r\n1,a,b\n"), template="ask.txt")


def test_parquet_holds_the_same_items(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([_GOOD, {**_GOOD, "item_id": "b"}])
    pq.write_table(table, tmp_path / "items.parquet")
    assert _load(tmp_path).items == _load(_write(tmp_path, _GOOD, {**_GOOD, "item_id": "b"}), "items.jsonl").items
    pq.write_table(pa.Table.from_pylist([{**_GOOD, "reference": {"n": float("nan")}}]), tmp_path / "items.parquet")
    with pytest.raises(ConfigError, match=r"'reference' holds nan.*row 1"):
        _load(tmp_path, "items.parquet")
    (tmp_path / "items.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match="not a Parquet file"):
        _load(tmp_path, "items.parquet")


def test_a_slice_is_a_column_of_single_values(tmp_path: Path) -> None:
    _write(tmp_path, {**_GOOD, "size": 3, "tags": ["x"]})
    assert _load(tmp_path, slices=("size",)).items[0].slices == {"size": "3"}
    with pytest.raises(ConfigError, match=r"without 'family', which 'slices' names.*:1"):
        _load(tmp_path, slices=("family",))
    with pytest.raises(ConfigError, match="'tags' is no single value"):
        _load(tmp_path, slices=("tags",))


def test_an_item_without_a_reference_is_for_a_judge_or_a_scorer_that_needs_none(tmp_path: Path) -> None:
    _write(tmp_path, {"item_id": "a", "messages": _GOOD["messages"]})
    judge = {"rubric": "rubric.txt", "model": "/judge"}
    assert _load(tmp_path, metric="judge", judge=judge).items[0].reference == {}
    assert _load(tmp_path, scorer={"name": "regex", "pattern": "[A-Z].*"}).items[0].reference == {}


def test_the_holdout_is_in_no_file(tmp_path: Path) -> None:
    judge = {"rubric": "rubric.txt", "model": "/judge"}
    benchmark = BenchmarkConfig(name="ours", format="holdout", judge=judge)
    with pytest.raises(ConfigError, match="items of benchmark ours are in no file: its format is holdout"):
        load_items(benchmark, lambda relative: tmp_path / relative)
