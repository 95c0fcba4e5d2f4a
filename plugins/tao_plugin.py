"""Registers with Airflow what it must find by name."""

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin
from tao_airflow import data_docs
from tao_airflow.timetable import FlywheelTimetable


class TaoPlugin(AirflowPlugin):
    """The flywheel's parts of Airflow."""

    name = "tao"
    timetables: ClassVar = [FlywheelTimetable]
    fastapi_apps: ClassVar = [{"app": data_docs.app, "url_prefix": data_docs.PREFIX, "name": "Data Docs"}]
    operator_extra_links: ClassVar = [data_docs.DataDocsLink()]
