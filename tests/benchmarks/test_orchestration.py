"""The orchestration benchmark tells a turn's seconds apart, none twice and none left out."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks import orchestration
from benchmarks.orchestration import CLOSE, IMPORTS, LEAVE, NO_STAGE, PARTS, QUEUE, STAGE, START, TELL, WORKER, Stage
from benchmarks.orchestration import split as told

T = 1_800_000_000.0


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(T + seconds, UTC).isoformat()


def _task(name: str, queued: float | None, start: float | None, end: float | None) -> dict[str, Any]:
    moments = {"queued_when": queued, "start_date": start, "end_date": end}
    return {"task_id": name} | {key: None if at is None else _iso(at) for key, at in moments.items()}


def test_every_second_of_a_turn_has_one_place() -> None:
    run = {"queued_at": _iso(0), "end_date": _iso(30)}
    tasks = [
        _task("approve", 22, 23, 25),
        _task("explore.generate", 1, 2, 20),
        _task("release", None, 25.5, 25.5),  # skipped: it was never queued
    ]
    stages = {"generate": Stage(T + 3, T + 7, T + 17, T + 18)}
    whole, each = told(run, tasks, stages)
    assert whole == pytest.approx(
        {
            QUEUE: 1 + 2,
            WORKER: 1 + 1,
            IMPORTS: 1,
            START: 4,
            STAGE: 10,
            LEAVE: 1,
            TELL: 2,
            NO_STAGE: 2,
            CLOSE: 5,
            "turn": 30,
        }
    )
    assert sum(whole[part] for part in PARTS) + whole[STAGE] == pytest.approx(whole["turn"])
    assert [one["task"] for one in each] == ["explore.generate", "approve"]


def test_the_goal_is_held_against_what_is_beside_the_stages() -> None:
    whole = dict.fromkeys(PARTS, 1.0) | {STAGE: 100.0, "turn": 108.0}
    wall, beside, *parts = orchestration._rows([(whole, [{"task": "ingest"}] * 9)] * 2)
    assert (wall.ours, wall.peer) == (108.0, 100.0)
    assert (beside.ours, beside.met) == (8.0, True) and "9 tasks" in beside.figure
    assert len(parts) == len(PARTS)
    late = whole | {"turn": 121.0}
    assert orchestration._rows([(late, [])])[1].met is False


def test_the_shell_around_a_stage_notes_its_moments_and_hands_on_its_words_and_status(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "import sys; print(sys.argv[1:]); sys.exit(3)" "$@"\n')
    python.chmod(0o755)
    notes = orchestration.watched(python)
    ended = subprocess.run([python, "-m", "tao_ops.cli", "gate", "a b"], capture_output=True, text=True, check=False)
    assert ended.returncode == 3 and "['-m', 'tao_ops.cli', 'gate', 'a b']" in ended.stdout
    lines = [line.split() for line in notes.read_text(encoding="utf-8").splitlines()]
    assert [(what, stage) for what, _, stage in lines] == [("begun", "gate"), ("ended", "gate")]
    assert 0 < float(lines[1][1]) - float(lines[0][1]) < 60
