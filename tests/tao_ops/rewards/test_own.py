"""Scorers of a user's own."""

import importlib.metadata
from pathlib import Path
from typing import Any

import pytest

from tao_ops.config import OwnScorerConfig
from tao_ops.errors import ConfigError, DataError
from tao_ops.records import Candidate
from tao_ops.rewards.base import Score
from tao_ops.rewards.own import load

BATCH = [Candidate("q", "Oslo?", text) for text in ("Oslo", "Rome", "")]


def _load(folder: Path, code: str, **config: Any) -> Any:
    (folder / "mine.py").write_text(code, encoding="utf-8")
    return load(OwnScorerConfig(kind="own", name="mine", file="mine.py", **config), folder)


def test_a_file_gives_numbers_scores_or_nothing(tmp_path: Path) -> None:
    code = "def score(batch, city):\n    return [1 if c.text == city else None if not c.text else 0.25 for c in batch]"
    found = _load(tmp_path, code, options={"city": "Oslo"})(BATCH)
    assert found == [Score(1.0), Score(0.25), Score(None, "undecided")]
    code = "from tao_ops.rewards import Score\ndef score(batch):\n    return [Score(None, 'too dark')] * len(batch)\n"
    assert _load(tmp_path, code)(BATCH)[0] == Score(None, "too dark")


def test_a_file_may_hold_dataclasses(tmp_path: Path) -> None:
    code = """from __future__ import annotations
from dataclasses import dataclass
@dataclass
class Word:
    text: str
def score(batch):
    return [float(Word(c.text).text == 'Oslo') for c in batch]
"""
    assert [one.value for one in _load(tmp_path, code)(BATCH)] == [1.0, 0.0, 0.0]


def test_no_number_is_undecided(tmp_path: Path) -> None:
    found = _load(tmp_path, "def score(batch):\n    return [float('nan'), 'high', True]\n")(BATCH)
    assert [one.reason for one in found] == ["not a number", "not a number", ""]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def score(batch):\n    return [2.0] * len(batch)", "gave 2.0 .* give numbers from 0 to 1"),
        ("def score(batch):\n    return [1.0]", "1 scores for 3 candidates"),
        ("def score(batch):\n    return 1 / 0", "scorer 'mine' failed: ZeroDivisionError"),
    ],
)
def test_what_it_gives_wrongly_is_an_error_that_names_its_file(tmp_path: Path, code: str, said: str) -> None:
    with pytest.raises(DataError, match=rf"{said}.*" if "give" in said else said) as error:
        _load(tmp_path, code)(BATCH)
    assert "mine.py" in str(error.value)


@pytest.mark.parametrize(
    ("code", "options", "said"),
    [
        ("x = 1", {}, "no function 'score'"),
        ("import nowhere_to_be_found", {}, "cannot be imported: ModuleNotFoundError"),
        ("def score(batch):\n  return", {"limit": 3}, "unexpected keyword argument 'limit'"),
        ("def score(batch, limit):\n  return", {}, "missing a required argument: 'limit'"),
    ],
)
def test_what_cannot_be_used_is_known_before_anything_is_scored(
    tmp_path: Path, code: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        _load(tmp_path, code, options=options)


def test_an_entry_point_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    point = importlib.metadata.EntryPoint("polite", "tests.tao_ops.rewards.test_own:polite", "tao_ops.scorers")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [point] if group == point.group else [])
    found = load(OwnScorerConfig(kind="own", name="p", entry_point="polite"), tmp_path)(BATCH)
    assert [one.value for one in found] == [0.5, 0.5, 0.5]
    with pytest.raises(ConfigError, match="no scorer 'rude' is installed .* installed ones: polite"):
        load(OwnScorerConfig(kind="own", name="r", entry_point="rude"), tmp_path)


def polite(batch: list[Candidate]) -> list[float]:
    return [0.5 for _ in batch]
