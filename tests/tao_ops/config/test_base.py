"""Lengths of time are written as people write them, and an unknown key is an error."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from tao_ops.config import Duration, Share, Strict


class _Part(Strict):
    lateness: Duration = timedelta(days=2)
    share: Share = 0.5


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2d", timedelta(days=2)),
        ("15s", timedelta(seconds=15)),
        ("12h", timedelta(hours=12)),
        ("30m", timedelta(minutes=30)),
        ("0d", timedelta()),
        (" 90 m ", timedelta(minutes=90)),
        ("365d", timedelta(days=365)),
        (timedelta(seconds=5), timedelta(seconds=5)),
    ],
)
def test_a_length_of_time_is_days_hours_or_minutes(written: Any, meant: timedelta) -> None:
    assert _Part(lateness=written).lateness == meant


@pytest.mark.parametrize("written", ["", "2", "d", "2w", "-1d", "1.5h", "2d 3h", "2D", "P2D", 2, 2.0, None, True, []])
def test_what_is_no_length_of_time_is_said_with_the_forms(written: Any) -> None:
    with pytest.raises(ValidationError, match="is not a duration: write 2d, 12h, 30m or 15s"):
        _Part(lateness=written)


def test_a_length_of_time_beyond_all_calendars_is_too_long() -> None:
    with pytest.raises(ValidationError, match="'999999999999d' is too long"):
        _Part.model_validate({"lateness": "999999999999d"})


@pytest.mark.parametrize("share", [-0.001, 1.001, "half", float("nan")])
def test_a_share_is_between_nought_and_one(share: Any) -> None:
    with pytest.raises(ValidationError):
        _Part(share=share)


def test_a_part_knows_its_keys_and_does_not_change() -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        _Part.model_validate({"latenes": "2d"})
    with pytest.raises(ValidationError, match="frozen"):
        _Part().share = 1.0  # type: ignore[misc]
    assert _Part(share=0) != _Part(share=1)
