"""Takes a promotion back: another version of a flywheel becomes its champion, in one step.

Choose Trigger and fill in the form:

- **Flywheel**: whose champion;
- **Version**: what becomes the champion. Empty: the champion before this one; 0: the base model;
- **Reason**: why. It is kept with your name in the registry's history.

A turn that is at work is not stopped: its candidate is judged against the champion of the moment it is registered.
The next turn starts from the restored one.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag
from tao_airflow.rollback import NAME, RollbackOperator, form

from tao_ops.config import flywheel_names

flywheels = flywheel_names()


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
    RollbackOperator(task_id="rollback", flywheels=flywheels, execution_timeout=timedelta(minutes=30))


rollback()
