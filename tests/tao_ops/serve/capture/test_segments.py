"""Segments only grow, are never shared, and end in time."""

import os
from datetime import timedelta
from pathlib import Path

import pytest

from tao_ops.config import CaptureConfig
from tao_ops.serve.capture import segments
from tao_ops.serve.capture.segments import Segments


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.jsonl"))


def test_a_full_or_old_segment_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(segments, "monotonic", lambda: now)
    one = Segments(tmp_path, "here", CaptureConfig(segment_mib=1, segment_age=timedelta(minutes=10)))
    for line in (b"a" * (1 << 20) + b"\n", b"b\n"):
        one.append(line)
        one.sync()
    now = 601.0
    one.close_aged()
    assert one.path is None
    one.append(b"c\n")
    assert [file.read_bytes()[-2:] for file in _files(tmp_path)] == [b"a\n", b"b\n", b"c\n"]


def test_two_servers_of_one_name_share_no_file(tmp_path: Path) -> None:
    both = [Segments(tmp_path, "a/b", CaptureConfig()) for _ in range(2)]
    for one in both:
        one.append(b"x\n")
    assert len(_files(tmp_path)) == 2 and all(file.name.startswith("a-b-") for file in _files(tmp_path))


def test_what_is_written_in_part_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Segments(tmp_path, "here", CaptureConfig())
    one.append(b"whole\n")
    write, calls = os.write, []

    def full(file: int, data: memoryview) -> int:
        calls.append(file)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return write(file, data[:3])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        one.append(b"in part\n")
    monkeypatch.undo()
    assert [file.read_bytes() for file in _files(tmp_path)] == [b"whole\n"]
