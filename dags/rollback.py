"""Takes a promotion back: another version of a flywheel becomes its champion, in one step.

Choose Trigger and fill in the form: the flywheel, the version (empty: the champion before this one), and why. The
move is an event of the registry with your name. A turn that is at work is not stopped: its candidate is judged
against the champion of the moment it is registered; the next turn starts from the restored one.
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
