"""Takes a promotion back: another version of a flywheel becomes its champion, in one step.

Choose Trigger and fill in the form:

- **Flywheel**: whose champion;
- **Version**: what becomes the champion. Empty: the champion before this one; 0: the base model;
- **Reason**: why. It is kept with your name in the registry's history.

A turn that is at work is not stopped: its candidate is judged against the champion of the moment it is registered.
The next turn starts from the restored one.

It is not tried again by itself: a second one might go a step further. Where it failed, its log's last line says why;
`tao registry list` shows whether the champion has moved.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag
from tao_airflow.forms import names, readable_flywheels
from tao_airflow.rollback import NAME, RollbackOperator, form

flywheels = names(readable_flywheels())


@dag(
    dag_id=NAME,
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["tao"],
    description="A form that makes another version the champion.",
    params=form(flywheels),
    default_args={"owner": "tao", "retries": 0},  # one that was killed after its move would go a step further
    doc_md=__doc__,
)
def rollback() -> None:
    """Run `tao registry rollback` once: it is never tried again by itself."""
    RollbackOperator(task_id=NAME, flywheels=flywheels, execution_timeout=timedelta(minutes=30))


rollback()
