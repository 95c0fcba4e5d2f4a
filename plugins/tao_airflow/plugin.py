"""What Airflow must find by name; an installed package is found by its entry point ``airflow.plugins``."""

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin

from tao_airflow import flywheel_page, pages, run_note
from tao_airflow.data_docs import DataDocsLink
from tao_airflow.pictures import PicturesLink
from tao_airflow.run_files import PREFIX
from tao_airflow.timetable import FlywheelTimetable


class TaoPlugin(AirflowPlugin):
    """The flywheel's parts of Airflow."""

    name = "tao"
    timetables: ClassVar = [FlywheelTimetable]
    listeners: ClassVar = [run_note]
    fastapi_apps: ClassVar = [
        {"app": pages.app, "url_prefix": PREFIX, "name": "Pages of runs"},
        {"app": flywheel_page.app, "url_prefix": flywheel_page.PREFIX, "name": "Flywheel"},
    ]
    external_views: ClassVar = flywheel_page.EXTERNAL_VIEWS
    operator_extra_links: ClassVar = [DataDocsLink(), PicturesLink()]
