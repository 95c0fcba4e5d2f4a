"""When a flywheel turns, and which interval a run that is started by hand gets."""

from airflow.timetables.base import DataInterval
from airflow.timetables.interval import CronDataIntervalTimetable
from pendulum import DateTime, now


class FlywheelTimetable(CronDataIntervalTimetable):
    """Cron intervals ``[start, end)``, where a date picks the interval that it lies in.

    Airflow's own data-interval timetable gives a manual run the interval *before* its date, while a backfill gives
    the one that *starts* there, and a backfill looks for existing runs by date alone: a day that was run by hand
    would make it skip or redo another day. Here both mean the same interval.

    The form of a manual run suggests the present, whose interval is not over yet: it gets the last complete one.
    """

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """The interval of a manual run dated ``run_after``: the one it lies in, or the last complete one."""
        start = self._align_to_prev(run_after)
        end = self._get_next(start)
        present = now("UTC")
        if end <= present:
            return DataInterval(start=start, end=end)
        if start > present:
            raise ValueError(f"the interval that starts at {start.isoformat()} lies in the future")
        return DataInterval(start=self._get_prev(start), end=start)
