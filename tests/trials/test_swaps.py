"""How the trial of swaps judges what it saw."""

import json
from pathlib import Path
from typing import Any

import pytest

from trials.swaps import SWAPS, Answered, Load, _judged

KNOWN = {0: {"q": "base"}, 1: {"q": "tuned"}}


def _told(*answers: Answered, **changed: Any) -> dict[str, Any]:
    told = {"known": KNOWN, "different": ["q"], "before": Load(), "load": Load(list(answers)), "exit": 0}
    return {**told, "seconds": [1.0] * SWAPS, **changed}


def _write(folder: Path, *ids: str) -> Path:
    lines = [{"kind": "exchange", "request_id": one} for one in ids] + [{"kind": "feedback", "request_id": "a"}]
    (folder / "2026-11-21").mkdir()
    (folder / "2026-11-21" / "s.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return folder


BASE, TUNED = Answered("q", False, "a", 0, "base"), Answered("q", True, "b", 1, "tuned")


def test_answers_of_their_versions_that_are_all_captured_hold(tmp_path: Path) -> None:
    cell = _judged(_told(BASE, TUNED), _write(tmp_path, "a", "b"))
    assert cell["held"] and (cell["answers"], cell["streamed"], cell["captured"]) == (2, 1, 2)


@pytest.mark.parametrize(
    ("answers", "captured", "what"),
    [
        ((BASE, Answered("q", False, "b", 1, "tubase")), ("a", "b"), "mixed"),
        ((BASE, Answered("q", False, "b", 1, "base")), ("a", "b"), "mixed"),
        ((BASE, Answered("q", False, error="APIStatusError: 503")), ("a",), "failed"),
        ((BASE, TUNED), ("a",), "lost"),
    ],
)
def test_what_failed_was_lost_or_mixed_does_not(
    tmp_path: Path, answers: tuple[Answered, ...], captured: tuple[str, ...], what: str
) -> None:
    cell = _judged(_told(*answers), _write(tmp_path, *captured))
    assert not cell["held"] and cell[what] == 1


def test_a_row_too_many_a_swap_too_few_or_another_end_does_not_hold(tmp_path: Path) -> None:
    folder = _write(tmp_path, "a", "b", "b")
    assert not _judged(_told(BASE, TUNED), folder)["held"]
    (folder / "2026-11-21" / "s.jsonl").write_text("", encoding="utf-8")
    assert not _judged(_told(seconds=[1.0]), folder)["held"] and not _judged(_told(exit=-9), folder)["held"]
    assert _judged(_told(), folder)["held"]
