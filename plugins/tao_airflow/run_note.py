"""The note of a run in Airflow: which turn it is, what of it is pinned, and what was changed for it.

A listener: the scheduler hands over the run as it begins, within the transaction that says so. Nothing is imported
before a flywheel's run begins, and a note that a person wrote stays.
"""

from typing import Any

from airflow.listeners import hookimpl

from tao_airflow.run_files import DAG_PREFIX

OURS = "This run is turn "
"""How our notes begin: another attempt of the run, with another form, may write them anew."""
NO_TURN = "This run has no turn: "

_LONGEST = 1000
"""Characters that Airflow's API takes of a note."""


@hookimpl
def on_dag_run_running(dag_run: Any, msg: str) -> None:
    """Write the note of a backfill's run, or of one that was started by hand."""
    if not dag_run.dag_id.startswith(DAG_PREFIX) or dag_run.run_type not in ("backfill", "manual"):
        return
    written = getattr(dag_run, "dag_run_note", None)
    if getattr(written, "user_id", None) is not None:  # a person's, even where it begins as ours did
        return
    if not dag_run.note or dag_run.note.startswith((OURS, NO_TURN)):
        dag_run.note = note(dag_run)


def note(run: Any) -> str:
    """What there is to know of a run before its tasks have said anything."""
    from tao_airflow.turn import turn_of
    from tao_airflow.turn_form import overrides
    from tao_ops.config import load_flywheel
    from tao_ops.errors import ConfigError

    context = {"dag_run": run, "params": run.conf or {}}
    try:
        turn = turn_of(context, load_flywheel(run.dag_id.removeprefix(DAG_PREFIX)))
        changes = overrides(context)
    except ConfigError as error:
        return f"{NO_TURN}{error}"[:_LONGEST]
    told = [
        f"{OURS}{turn.key}.",
        "Pinned: the queries of its interval. Not pinned: the champion, the YAML and the code, which are those of now.",
        f"Changed by the form: {', '.join(changes)}." if changes else "The form changed nothing of the YAML.",
    ]
    return " ".join(told)[:_LONGEST]
