"""Two kills of the trial, and that what it asks for can be missed."""

from pathlib import Path

import pytest

from trials import capture_kills
from trials.capture_kills import killed
from trials.capture_kills.load import Seen


def test_what_was_answered_before_a_sync_is_in_the_lake_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_kills, "LONGEST_S", 0.3)
    monkeypatch.setattr(capture_kills, "EARLY", 0.0)
    cell = killed(tmp_path, seed=4, kills=2)
    assert cell["held"] and cell["missing"] == cell["twice"] == cell["unasked"] == 0
    assert 0 < cell["synced"] <= cell["rows"] <= cell["answered"] + 2 * capture_kills.CLIENTS


def test_an_answer_counts_once_a_later_sync_covers_it() -> None:
    polls = [
        (1.0, {"captured": 1, "synced": 0}),
        (2.0, {"captured": 2, "synced": 1}),
        (3.0, {"captured": 3, "synced": 1}),
    ]
    seen = Seen(answered={"a": 0.5, "b": 1.5, "c": 2.5}, polls=polls)
    assert seen.synced() == {"a"}
    seen.polls.append((4.0, {"captured": 3, "synced": 3}))
    assert seen.synced() == {"a", "b", "c"}
