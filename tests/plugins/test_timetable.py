"""The interval of a run: scheduled, backfilled, started by hand."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pendulum
import pytest
from tao_airflow import timetable
from tao_airflow.timetable import FlywheelTimetable

NOW = pendulum.datetime(2026, 11, 23, 10, 30)


@pytest.fixture(autouse=True)
def _at_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timetable, "now", lambda zone: NOW)


def manual(day: pendulum.DateTime, cron: str = "0 0 * * *", zone: str = "UTC") -> tuple[datetime, datetime]:
    interval = FlywheelTimetable(cron, timezone=zone).infer_manual_data_interval(run_after=day)
    return interval.start, interval.end


def test_a_date_gets_the_interval_that_starts_there() -> None:
    expected = (pendulum.datetime(2026, 11, 21), pendulum.datetime(2026, 11, 22))
    assert manual(pendulum.datetime(2026, 11, 21)) == expected
    assert manual(pendulum.datetime(2026, 11, 21, 13, 5)) == expected


def test_a_run_by_hand_and_a_backfill_of_the_same_day_have_the_same_interval_and_date() -> None:
    from airflow.timetables.base import TimeRestriction

    day = pendulum.datetime(2026, 11, 10)
    restriction = TimeRestriction(earliest=day, latest=day, catchup=True)
    backfilled = FlywheelTimetable("0 0 * * *", timezone="UTC").next_dagrun_info(
        last_automated_data_interval=None, restriction=restriction
    )
    assert backfilled is not None and backfilled.data_interval is not None
    assert backfilled.logical_date == day
    assert (backfilled.data_interval.start, backfilled.data_interval.end) == manual(day)


@pytest.mark.parametrize("suggested", [NOW, pendulum.datetime(2026, 11, 23)])
def test_the_present_gets_the_last_complete_interval(suggested: pendulum.DateTime) -> None:
    assert manual(suggested) == (pendulum.datetime(2026, 11, 22), pendulum.datetime(2026, 11, 23))


def test_a_date_in_the_future_is_refused() -> None:
    with pytest.raises(ValueError, match=r"2026-11-24T00:00:00.*lies in the future"):
        manual(pendulum.datetime(2026, 11, 24, 1))


def test_a_day_of_25_hours_is_one_interval() -> None:
    """Berlin, 25 October 2026: the clock goes back."""
    start, end = manual(pendulum.datetime(2026, 10, 25, 12), zone="Europe/Berlin")
    assert start == datetime(2026, 10, 25, tzinfo=ZoneInfo("Europe/Berlin"))
    assert (end - start).total_seconds() == 25 * 3600


def test_it_survives_being_stored() -> None:
    from airflow.serialization.decoders import decode_timetable
    from airflow.serialization.encoders import encode_timetable

    made = FlywheelTimetable("30 2 * * *", timezone="Europe/Berlin")
    stored = decode_timetable(encode_timetable(made))
    assert type(stored) is FlywheelTimetable
    assert stored == made
    assert stored.serialize() == made.serialize()
