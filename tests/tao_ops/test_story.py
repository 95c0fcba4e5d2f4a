"""How a stage tells what it does: the same words for a terminal and for a log that folds."""

from collections.abc import Iterator

import pytest

from tao_ops import story
from tao_ops.story import MARKED, OWN, READER, Pace


@pytest.fixture(params=["terminal", "log"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who reads."""
    monkeypatch.delenv(READER, raising=False)
    if request.param == "log":
        monkeypatch.setenv(READER, MARKED)
    return str(request.param)


def test_a_log_can_tell_the_stages_words_and_a_terminal_is_spared_the_marks(reader: str) -> None:
    said: list[str] = []
    story.teller(said.append)("one\ntwo")
    assert said == ([f"{OWN}one", f"{OWN}two"] if reader == "log" else ["one\ntwo"])


def test_a_log_folds_and_a_terminal_shows_what_is_in_the_fold(reader: str) -> None:
    said: list[str] = []
    with pytest.raises(ValueError, match="within"), story.folded(said.append, "probes"):
        said.append("a probe")
        raise ValueError("within")
    assert said == (["::group::probes", "a probe", "::endgroup::"] if reader == "log" else ["a probe"])


def test_settings_are_for_a_log_that_folds_them(reader: str) -> None:
    said: list[str] = []
    story.details(said.append, "settings", story.settings({"a": {"b": 1, "c": None}, "d": [2]}))
    assert said == (["::group::settings", "a.b: 1", "d.0: 2", "::endgroup::"] if reader == "log" else [])


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _pace(total: int | None, steps: Iterator[tuple[float, int]] | list[tuple[float, int]]) -> list[str]:
    said: list[str] = []
    clock = Clock()
    pace = Pace(said.append, "items", total, clock=clock)
    for after, done in steps:
        clock.now = 100.0 + after
        pace.at(done)
    return said


def test_progress_has_a_rate_and_the_time_that_is_left_at_most_every_ten_seconds() -> None:
    steps = [(second, second * 4) for second in range(1, 31)]
    assert _pace(300, steps) == [
        "40 of 300 items, 4.0 a second, about 65 s left",
        "80 of 300 items, 4.0 a second, about 55 s left",
        "120 of 300 items, 4.0 a second, about 45 s left",
    ]


def test_what_is_quick_says_nothing_and_what_has_no_known_end_tells_no_time() -> None:
    assert _pace(300, [(1.0, 100), (9.9, 300)]) == []
    assert _pace(None, [(20.0, 0), (20.5, 41_000)]) == ["41,000 items, 2,000 a second"]
    assert _pace(1_000_000, [(100.0, 1_000)]) == ["1,000 of 1,000,000 items, 10 a second, about 27.8 h left"]
