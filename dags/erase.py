"""Erases a person's data, or one query's, from every table and file, for good.

Choose Trigger and fill in the form; begin with **Dry run** on, which only counts what would go:

- **Flywheel**: one of them. Empty: all, one after the other; where the YAML of one is wrong, the task fails at last;
- exactly one of **Person, by hash**, **Person, by Variable** and **Query**;
- **Reason**: why. It is recorded with your name;
- **Dry run**: off, and it goes.

**What is stored.** A run's form lies readable in Airflow's database, and so does this task's log on disk. Neither gets
a person's name: the form takes the hash that the tables hold, or the key of a Variable (Admin, Variables, a key that
begins with `erase_secret`) with the person as the logs name it. Airflow encrypts its value, the task hashes it, and
deletes the Variable at the end. A reason is stored as it is written: name a case, no person.

The log tells the rows by table, and each release that was trained on such rows, with advice: weights keep what they
learned. Raw logs, captured segments and backups are not touched. It waits for a turn's ingest or validate, 45 minutes
at most. Where it fails or is killed, run it again: it goes on, and names the same releases.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag
from tao_airflow.erase import NAME, EraseOperator, form
from tao_airflow.forms import names, readable_flywheels

from tao_ops.config import flywheel_names

flywheels = names(readable_flywheels())
unreadable = [name for name in flywheel_names() if name not in flywheels]


@dag(
    dag_id=NAME,
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["tao"],
    description="A form that erases a person or a query.",
    params=form(flywheels),
    default_args={
        "owner": "tao",
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=15),
    },
    doc_md=__doc__,
)
def erase() -> None:
    """Run `tao erase` for one flywheel, or for each."""
    EraseOperator(task_id=NAME, flywheels=flywheels, unreadable=unreadable, execution_timeout=timedelta(hours=6))


erase()
