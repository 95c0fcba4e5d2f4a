"""Keeps the tables small and within their retention, once a week.

Rows whose turn ended longer ago than `retention` in the flywheel's YAML says are removed, small files become one, and
files that no version of the last seven days names are deleted. It runs beside turns, and any number of times.

Choose Trigger to run it by hand, with a form:

- **Flywheel**: one of them. Empty: all;
- **Dry run**: only counts what would go;
- **Keep files**: how long files of older versions stay, a day at least.

The log ends with a table of what went. Where it fails, run it again: what is done is done.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag
from tao_airflow.forms import names, readable_flywheels
from tao_airflow.maintenance import NAME, MaintenanceOperator, form


@dag(
    dag_id=NAME,
    schedule="0 3 * * 0",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["tao"],
    description="Retention, compaction and vacuum of the tables, weekly.",
    params=form(names(readable_flywheels())),
    default_args={
        "owner": "tao",
        "retries": 2,
        "retry_delay": timedelta(minutes=5),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(hours=1),
    },
    doc_md=__doc__,
)
def maintenance() -> None:
    """Run `tao lake maintain`, for all flywheels where the form names none."""
    MaintenanceOperator(task_id="maintain", execution_timeout=timedelta(hours=2))


maintenance()
