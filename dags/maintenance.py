"""Keeps the tables small and within their retention, once a week.

Rows whose turn ended longer ago than `retention` in the flywheel's YAML says are removed, small files become one, and
files that no version of the last seven days names are deleted. It runs beside turns, and any number of times.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag
from tao_airflow.command_operator import CommandOperator


@dag(
    schedule="0 3 * * 0",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["tao"],
    description="Retention, compaction and vacuum of the tables, weekly.",
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
    """Run `tao lake maintain` for all flywheels."""
    CommandOperator(task_id="maintain", command=("lake", "maintain"), execution_timeout=timedelta(hours=2))


maintenance()
