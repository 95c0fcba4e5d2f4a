"""Which turn a task belongs to: the one place that decides it."""

from datetime import datetime
from typing import Any

from tao_ops.config import Flywheel
from tao_ops.errors import ConfigError
from tao_ops.turn import Turn, last_complete_turn, parse_instant, turn_at, turn_key

PARAM = "turn"
"""The form field that picks a turn."""


def turn_of(context: Any, flywheel: Flywheel) -> Turn:
    """The turn that a task's run is an attempt at.

    The form field ``turn`` wins; else it is the run's data interval; a run without a date takes the turn that was
    the last complete one when it was due.

    Raises:
        ConfigError: no turn of the schedule starts there, the run's date and interval contradict each other, or a
            backfill's form picks one turn for all its days.
    """
    schedule = {"schedule": flywheel.schedule, "timezone": flywheel.timezone}
    run = context["dag_run"]
    if chosen := (context.get("params") or {}).get(PARAM):
        if run.run_type == "backfill":
            raise ConfigError(
                f"a backfill's runs have a day each, and its form says {chosen} for all of them",
                where=PARAM,
                mend="start the backfill again with the field left empty, or trigger one run",
            )
        return turn_at(flywheel.name, parse_instant(chosen, flywheel.timezone), **schedule)
    if run.data_interval_start is None:
        return last_complete_turn(flywheel.name, now=run.run_after, **schedule)
    turn = turn_at(flywheel.name, run.data_interval_start, **schedule)
    if run.run_type == "manual" and run.logical_date is not None:
        _refuse_contradiction(turn, run.logical_date, run.run_after)
    return turn


def _refuse_contradiction(turn: Turn, date: datetime, run_after: datetime) -> None:
    """``airflow dags trigger --logical-date`` gives today's interval to a run of another date."""
    length = turn.end - turn.start
    if not turn.start <= date < turn.end and date + length <= run_after:
        raise ConfigError(
            f"the run is dated {turn_key(date)} but its interval is that of {turn.key}",
            where="logical date",
            mend=f"""start it again with --conf '{{"{PARAM}": "{turn_key(date)}"}}' and without a date""",
        )
