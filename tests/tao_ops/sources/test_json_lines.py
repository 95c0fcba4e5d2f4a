"""Files of JSON, whatever is wrong with them: each line is read or counted, and none is held that is too long."""

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pytest
import zstandard

from tao_ops.sources import files, json_lines
from tao_ops.sources.files import LogFile
from tao_ops.sources.records import BrokenLine, LoggedQuery
from tao_ops.tables import Reason


def _parse(record: Any, position: str) -> Iterator[LoggedQuery | BrokenLine]:
    if not isinstance(record, dict) or "q" not in record:
        yield BrokenLine(position, Reason.WRONG_SHAPE, "no q")
    else:
        message = {"role": "user", "content": str(record["q"])}
        yield LoggedQuery(position, None, datetime(2026, 11, 21, tzinfo=UTC), (message,))  # type: ignore[arg-type]


def _read(path: Path) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What was asked and what was broken, each with its place in the file."""
    asked, broken = [], []
    for batch in json_lines.read(LogFile(str(path), str(path), fsspec.filesystem("file"), None), _parse):
        for row in batch.queries.to_pylist():
            asked.append((row["position"].removeprefix(f"{path}:"), row["messages"][0]["content"]))
        broken += [(line.position.removeprefix(f"{path}:"), line.reason.value) for line in batch.broken]
    return asked, broken


def _file(tmp_path: Path, content: bytes, name: str = "a.jsonl") -> Path:
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


LINES = b'{"q": 1}\n\n  \nnot json\n{"q": 2}'


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a"])
def test_plain_and_packed_files_are_told_apart_by_what_they_hold(tmp_path: Path, pack: Any, name: str) -> None:
    assert _read(_file(tmp_path, pack(LINES), name)) == ([("1", "1"), ("5", "2")], [("4", "not_json")])


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    for content in (b"", b"\n\n", gzip.compress(b"")):
        assert _read(_file(tmp_path, content)) == ([], [])


def test_line_numbers_go_on_over_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "CHUNK", 50)
    asked, broken = _read(_file(tmp_path, b"".join(b'{"q": %d}\n' % n for n in range(1, 200))))
    assert asked == [(str(n), str(n)) for n in range(1, 200)] and broken == []


@pytest.mark.parametrize("chunk", [7, 64, 1000, 4096])
def test_a_line_that_is_too_long_is_counted_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(files, "CHUNK", chunk)
    monkeypatch.setattr(json_lines, "MAX_LINE", max(chunk, 500))
    long = json.dumps({"q": "x" * 9000}).encode()
    asked, broken = _read(_file(tmp_path, b'{"q": 1}\n' + long + b'\n{"q": 2}\n' + long))
    assert asked == [("1", "1"), ("3", "2")]
    assert broken == [("2", "too_long"), ("4", "too_long")]


def test_a_line_of_fifty_megabytes_is_never_held_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.write(b'{"q": 1}\n{"q": "')
        for _ in range(50):
            file.write(b"x" * (1 << 20))
        file.write(b'"}\n{"q": 2}\n')
    tracemalloc.start()
    found = _read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == ([("1", "1"), ("3", "2")], [("2", "too_long")])
    assert peak < 48 << 20


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_cut_file_gives_what_comes_before_the_cut(tmp_path: Path, pack: Any) -> None:
    import random

    numbers = random.Random(1)
    packed = pack(b"".join(b'{"q": "%d"}\n' % numbers.getrandbits(500) for _ in range(20_000)))
    asked, broken = _read(_file(tmp_path, packed[: len(packed) // 2]))
    assert 8_000 < len(asked) < 11_000
    assert [reason for _, reason in broken] == ["damaged_file"]
    assert int(broken[0][0]) >= len(asked)


@pytest.mark.parametrize(
    "content",
    [gzip.compress(b"x" * 100)[:12], b"\x1f\x8bno gzip at all", b"\x28\xb5\x2f\xfd...."],
    ids=["cut gzip", "no gzip", "no zstd"],
)
def test_a_file_that_is_damaged_from_its_start_is_one_row(tmp_path: Path, content: bytes) -> None:
    assert _read(_file(tmp_path, content)) == ([], [("1", "damaged_file")])


def test_a_bomb_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "CHUNK", 1 << 16)
    monkeypatch.setattr(files, "BOMB_BYTES", 1 << 20)
    asked, broken = _read(_file(tmp_path, gzip.compress(b'{"q": 1}\n' + b" " * (64 << 20))))
    assert [reason for _, reason in broken][-1] == "damaged_file" and len(asked) <= 1


@pytest.mark.parametrize("text", ['[{"q": 1}, null, {"q": 2}]', '[\n {"q": 1},\n null,\n {"q": 2}\n]\n'])
def test_the_elements_of_an_array_are_records(tmp_path: Path, text: str) -> None:
    asked, broken = _read(_file(tmp_path, text.encode(), "export.json"))
    assert asked == [("record 1", "1"), ("record 3", "2")] and broken == [("record 2", "wrong_shape")]


def test_documents_over_several_lines_are_records(tmp_path: Path) -> None:
    content = "\n".join(json.dumps({"q": n}, indent=2) for n in (1, 2))
    assert _read(_file(tmp_path, content.encode())) == ([("record 1", "1"), ("record 2", "2")], [])


def test_an_array_that_breaks_off_gives_what_comes_before(tmp_path: Path) -> None:
    asked, broken = _read(_file(tmp_path, b'[{"q": 1}, {"q": 2}, {"q": '))
    assert [text for _, text in asked] == ["1", "2"] and broken == [("record 3", "not_json")]


def test_an_element_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "MAX_DOCUMENT_RECORD", 1 << 18)
    asked, broken = _read(_file(tmp_path, b'[{"q": 1}, {"q": "' + b"x" * (1 << 20) + b'"}, {"q": 3}]'))
    assert [text for _, text in asked] in (["1"], []) and broken[-1][1] == "too_long"


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    assert _read(_file(tmp_path, b'\xef\xbb\xbf{"q": 1}\n')) == ([("1", "1")], [])
    assert _read(_file(tmp_path, b'\xef\xbb\xbf[{"q": 1}]')) == ([("record 1", "1")], [])


@pytest.mark.parametrize("depth", [500, 992, 993, 100_000])
def test_deep_nesting_never_stops_the_rest(tmp_path: Path, depth: int) -> None:
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    asked, broken = _read(_file(tmp_path, deep + b'\n{"q": 1}\n'))
    assert asked == [("2", "1")] and len(broken) == 1


@pytest.mark.parametrize("first", [b"{", b"[]", b"[1, 2]", b'[{"q": 1}]', b'"a"'])
def test_a_broken_first_line_does_not_hide_the_others(tmp_path: Path, first: bytes) -> None:
    asked, broken = _read(_file(tmp_path, first + b'\n{"q": 2}\n{"q": 3}\n'))
    assert [text for _, text in asked] == ["2", "3"] and broken == [("1", "not_json")]


def test_what_follows_an_array_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    asked, broken = _read(_file(tmp_path, b'[\n{"q": 1}\n]\n{"q": 2}\n'))
    assert [text for _, text in asked] == ["1"] and [reason for _, reason in broken] == ["not_json"]
