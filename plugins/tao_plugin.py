"""Registers with Airflow what it must find by name."""

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin
from tao_airflow.timetable import FlywheelTimetable


class TaoPlugin(AirflowPlugin):
    """The flywheel's parts of Airflow."""

    name = "tao"
    timetables: ClassVar = [FlywheelTimetable]
