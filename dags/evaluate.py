"""Scores any version of a flywheel on any of its benchmarks, at any time.

Choose Trigger and fill in the form:

- **Flywheel**, and **Version**: what is scored. Empty: the champion; 0: the base model;
- **Benchmark**: one of the flywheel's. Empty: all of them;
- **Items**: so many of each benchmark, the first ones. Empty: all.

The log ends with a table: per benchmark, and per declared slice, items, score and its interval of 95 %. The same lies
as JSON in the flywheel's artifacts, in `evaluations/`; the log names the file. It asks and scores as the stage
`evaluate` does, and takes what turns have stored for the same model, items, prompt, decoding and engine.

No table is written, no turn is disturbed, and the champion stays. It waits for a slot of the pool `gpu`. A benchmark
of the format `holdout` compares the version with the champion, so it cannot score the champion itself.

Where it fails, the log's last line says what, where and how to mend it. An engine that died is tried again.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import dag
from tao_airflow.dag import POOL
from tao_airflow.evaluate import NAME, EvaluateOperator, form
from tao_airflow.forms import readable_flywheels


@dag(
    dag_id=NAME,
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["tao"],
    description="A form that scores any version on any benchmark.",
    params=form(readable_flywheels()),
    default_args={
        "owner": "tao",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=5),
    },
    doc_md=__doc__,
)
def evaluate() -> None:
    """Run `tao registry evaluate`."""
    EvaluateOperator(task_id=NAME, pool=POOL, execution_timeout=timedelta(hours=6))


evaluate()
