"""A person's word on a promotion: the question with the report in front of them, and what is done with the answer."""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from tao_airflow.assets import Kind, outlet, tell
from tao_airflow.command_operator import CommandOperator
from tao_airflow.run_files import run_folder
from tao_airflow.stage_task import identity
from tao_ops.config import load_flywheel
from tao_ops.turn import path_safe

APPROVE, REJECT = "Approve", "Reject"
VERBS = {APPROVE: "promote", REJECT: "reject"}
REPORT = "report.md"
LONGEST = 20_000
"""Characters of a report that are shown; Airflow keeps them in its database."""

_LONGEST_REASON = 1000


class ApproveOperator(HITLOperator):
    """Asks whether the version that ``register`` left pending becomes the champion; skips itself where none is.

    It waits in Airflow's state ``awaiting_input``: no worker, no slot of a pool. Who may not edit the DAG's runs
    cannot answer. Where nobody has by ``limit``, the answer is Reject.
    """

    def __init__(self, *, flywheel: str, limit: timedelta, **kwargs: Any) -> None:
        # The DAG's own fields come with them, and Airflow's operator drops those again.
        reason = Param(None, type=["null", "string"], title="Reason", description="Kept in the registry's history.")
        kwargs["params"] = {"reason": reason}
        super().__init__(
            subject=f"Promote the candidate of {flywheel}?",
            options=[APPROVE, REJECT],
            defaults=REJECT,
            response_timeout=limit,
            **kwargs,
        )
        self.flywheel = flywheel

    @property
    def hitl_summary(self) -> dict[str, Any]:
        """What Airflow tells of the question to listeners, and they to others: all but the report."""
        return {**super().hitl_summary, "body": None}

    def execute(self, context: Any) -> Any:
        """Put the question, or skip."""
        registered = _registered(context)
        if not registered.get("pending"):
            raise AirflowSkipException(f"nothing waits for an approval: {registered.get('decision')}")
        turn, run_id = identity(context, self.flywheel)
        self.subject = f"Promote version {registered['version']} of {self.flywheel}, turn {turn}?"
        until = f"{datetime.now(UTC) + self.response_timeout:%Y-%m-%d %H:%M} UTC"
        limit = f"**Where nobody answers by {until}, it is rejected.** The answer's field and buttons are at the end."
        self.body = f"{limit}\n\n{report(context['dag_run'].dag_id, turn, run_id)}"
        self.log.info("Until %s, under Required Actions: %s", until, self.subject)
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """The answer, as ``release`` takes it: ``verb``, ``version``, ``who``, ``reason``."""
        from tao_ops.registry.record import TIME_LIMIT  # not while the DAG is parsed: it brings the lake along

        given = super().execute_complete(context, event)
        (option,) = given["chosen_options"]
        user = given["responded_by_user"]
        who = (user["name"] or user["id"]) if user else TIME_LIMIT
        said = in_one_line(given["params_input"].get("reason"))
        if not user:
            otherwise = f"nobody answered within {self.response_timeout}"
        else:
            otherwise = "approved in Airflow" if option == APPROVE else "rejected in Airflow"
        answer = {"verb": VERBS[option], "who": who, "reason": said or otherwise}
        self.log.info("%s by %s: %s", option, who, answer["reason"])
        return answer | {"version": _registered(context)["version"]}


class ReleaseOperator(CommandOperator):
    """Does what the answer of ``approve`` says: ``tao registry promote`` or ``reject``. A no is no failure.

    Where the flywheel has a canary, a yes begins it, and the champion moves at its end.

    The command may run any number of times. Where the champion has moved since the verdict, the registry decides again;
    where it then says no, the task fails with its words.
    """

    def __init__(self, *, flywheel: str, **kwargs: Any) -> None:
        super().__init__(command=("registry",), outlets=[outlet(flywheel, Kind.MODEL)], **kwargs)
        self.flywheel = flywheel

    def execute(self, context: Any) -> None:
        """Run the command to its end."""
        answer = context["ti"].xcom_pull(task_ids="approve")
        who, said = answer["who"], (f"--reason={answer['reason']}", f"--by={answer['who']}")
        self.command = ("registry", answer["verb"], self.flywheel, str(answer["version"]), *said)
        super().execute(context)
        if answer["verb"] == VERBS[APPROVE] and load_flywheel(self.flywheel).serve.canary is None:
            turn, run_id = identity(context, self.flywheel)
            version = answer["version"]
            tell(context, self.flywheel, Kind.MODEL, turn=turn, run_id=run_id, version=version, who=who)


def report(dag_id: str, turn: str, run_id: str) -> str:
    """The gate's report on a run, Markdown, its beginning where it is long; nobody is asked without it."""
    folder = run_folder(dag_id, path_safe(turn), run_id)
    path = None if folder is None else folder / REPORT
    if path is None or not path.is_file():
        where = f"{dag_id}, turn {turn}, run {run_id}"
        raise AirflowFailException(
            f"error: there is no {REPORT} among the run's artifacts [{where}] — clear the task gate"
        )
    text = path.read_text(encoding="utf-8")
    if len(text) <= LONGEST:
        return text
    shown = text[:LONGEST].rsplit("\n", 1)[0]
    return f"{shown}\n\n… and {len(text) - len(shown)} characters more, in `{path}`."


def in_one_line(text: str | None) -> str:
    """What a person typed, fit for a command's argument and a line of a log."""
    whole = "".join(letter if letter.isprintable() else " " for letter in text or "")
    return " ".join(whole.split())[:_LONGEST_REASON]


def _registered(context: Any) -> dict[str, Any]:
    found: dict[str, Any] = context["ti"].xcom_pull(task_ids="register")["metrics"]
    return found
