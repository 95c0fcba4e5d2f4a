"""Real questions come through the front door as they should, and the trial says so where they do not."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tao_ops.config import load_flywheel
from tao_ops.settings import Settings
from tao_ops.stages import Run, ingest, validate
from tao_ops.turn import Turn
from trials.real_logs import expectations_failed, faults, wall
from trials.real_logs.data import DATA, FIRST, DataSet, asked, load, write
from trials.real_logs.home import OVERLAPPING, Home
from trials.real_logs.likeness import likest

PLACES = ("Oslo", "Rome", "Den Haag", "Bern", "Wien", "Lyon", "Porto", "Riga", "Gent", "Turku", "Graz", "Malmo")
QUESTIONS = [
    *(f"Please tell me when my new card will arrive in {place}." for place in PLACES),
    *(f"Why was my transfer to a friend in {place} declined?" for place in PLACES),
    "hello",
]
MADE_UP = DataSet("cards", "intent", QUESTIONS, [("Can I change my PIN abroad?", "pin"), ("Is it closed?", "hours")])


@pytest.fixture(scope="module")
def real() -> list[DataSet]:
    if not DATA.is_dir():
        pytest.skip(f"no {DATA}: name a folder with banking77 and defog in TAO_DATA")
    return load(DATA)


def _day(home: Home, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], dict[str, Any]]:
    """Take the day from the overlapping files and from the plain one, in this process; the first one's reports."""
    for name, value in home.environment.items():
        monkeypatch.setenv(name, value)
    settings, reports = Settings.from_env(), []
    for name in (home.overlapping, home.plain):
        turn = Turn(name, FIRST, FIRST + timedelta(days=1))
        run = Run(load_flywheel(name, settings), turn, "r", home.lake, settings, "", say=lambda line: None)
        reports.append((ingest.run(run).as_dict(), validate.run(run).as_dict()))
    return reports[0]


def test_real_questions_are_taken_once_whatever_files_they_are_in(
    real: list[DataSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    banking, defog = real
    assert (len(banking.questions), len(banking.exam)) == (10_003, 3_080)
    assert (len(defog.questions), len(defog.exam)) == (315, 104)
    seen = [question for question, _ in banking.exam[:3]]
    some = replace(banking, questions=banking.questions[:400] + seen, exam=banking.exam[:300])
    home = Home(tmp_path, some, tokens=False)
    lines = home.log(seed=1)
    taken, placed = _day(home, monkeypatch)
    assert faults(home, lines, taken, placed) == []
    assert (taken["rows_out"], taken["metrics"]["redacted"]) == (403, {})
    assert placed["metrics"]["exam"]["equal"] == 3
    assert wall(home)["kept_most_like"] < 0.95


def test_what_is_wrong_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path, MADE_UP, tokens=False)
    lines = home.log(seed=1)
    day = asked(MADE_UP, 1, days=1)
    write(tmp_path / "logs" / home.plain / "gateway" / "day.jsonl", day[:-1])
    taken, placed = _day(home, monkeypatch)
    assert expectations_failed(home) == {"characters": 1}
    told = faults(home, lines + 1, taken, placed)
    assert "not every other line counts as repeated" in told
    assert "queries of the overlapping files is not that of the plain one" in told
    lost = replace(MADE_UP, questions=[*QUESTIONS, "Where is it?"], exam=[(QUESTIONS[0], "card")])
    home.data = lost
    told = faults(home, lines, taken, placed)
    assert "a question was lost, is there twice, or reads otherwise" in told
    assert "an item of the exam became a prompt" in told


def test_the_overlapping_files_hold_the_day_and_more() -> None:
    parts = sorted(OVERLAPPING.values())
    assert parts[0][0] == 0 and max(end for _, end in parts) == 1
    assert all(start < max(end for _, end in parts[:i]) for i, (start, _) in enumerate(parts) if i)


def test_the_likest_other_is_found_with_its_true_similarity() -> None:
    place, similarity = likest(["abcdef", "ABCDE  f"], ["xyz", "abcdefg", "abcde f"])
    assert place.tolist() == [1, 2]
    assert np.allclose(similarity, [2 / 3, 1])
    assert likest([], ["abc"])[0].size == 0
