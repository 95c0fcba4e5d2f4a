"""What the writer says is on the disk is there."""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tao_ops.config import CaptureConfig, PrivacyConfig
from tao_ops.serve.capture import segments
from tao_ops.serve.capture.raw import Frame
from tao_ops.serve.capture.segments import Segments
from tao_ops.serve.capture.setup import Setup
from tao_ops.serve.capture.writer import Writer


def test_lines_of_a_segment_that_could_not_be_flushed_at_its_end_are_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, refuses = 0.0, False
    monkeypatch.setattr(segments, "monotonic", lambda: now)
    flush = os.fsync

    def fsync(file: int) -> None:
        if refuses:
            raise OSError(5, "Input/output error")
        flush(file)

    monkeypatch.setattr(os, "fsync", fsync)
    config = CaptureConfig(sync="interval", interval=timedelta(hours=1), segment_age=timedelta(minutes=10))
    setup = Setup(str(tmp_path), b"k", config, strictest=PrivacyConfig(kinds=(), names=False))
    read, said = os.pipe()
    writer = Writer(setup, Segments(tmp_path, "here", config), said)
    told: dict[str, Any] = {"kind": "feedback", "seq": 1, "request_id": "r", "received_at": "t", "feedback": "up"}
    writer.take(Frame({**told, "corrected": None}))
    writer.write()
    now, refuses = 601.0, True
    writer.idle()
    refuses = False
    writer.write(last=True)
    assert json.loads(os.read(read, 4096))["synced"] == 1
    # An error of a flush is told once: who flushes that file again hears that all is well, and it may not be.
    assert len(list(tmp_path.rglob("*.jsonl"))) == 2
    os.close(read)
    os.close(said)
