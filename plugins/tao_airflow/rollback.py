"""Takes a promotion back from a form: ``tao registry rollback``."""

from typing import Any

from airflow.sdk import Param

from tao_airflow.approval import in_one_line
from tao_airflow.assets import Kind, outlet, tell
from tao_airflow.command_operator import CommandOperator

NAME = "rollback"


def form(flywheels: list[str]) -> dict[str, Param]:
    """The fields of the form; Airflow starts no run where one of them is wrong."""
    choice: dict[str, Any] = {"enum": flywheels} if flywheels else {}
    return {
        "flywheel": Param(type="string", title="Flywheel", **choice),
        "version": Param(
            None,
            type=["null", "integer"],
            exclusiveMinimum=-1,  # with a minimum the form makes 0, the base model, of -3 without a word
            title="Version",
            description="Becomes the champion; 0 is the base model. Empty: the champion before this one.",
        ),
        "reason": Param(
            type="string",
            minLength=1,
            pattern=r"\S",
            title="Reason",
            description="Kept in the registry's history.",
        ),
    }


class RollbackOperator(CommandOperator):
    """``tao registry rollback FLYWHEEL [--to VERSION] --reason … --by …``, by who started the run."""

    def __init__(self, *, flywheels: list[str], **kwargs: Any) -> None:
        models = [outlet(flywheel, Kind.MODEL) for flywheel in flywheels]
        super().__init__(command=("registry", "rollback"), outlets=models, **kwargs)

    def execute(self, context: Any) -> None:
        """Run the command to its end."""
        asked, run = context["params"], context["dag_run"]
        flywheel, version = asked["flywheel"], asked.get("version")
        who = run.triggering_user_name or f"run {run.run_id}"
        target = () if version is None else ("--to", str(version))
        reason = in_one_line(asked["reason"])
        self.command = ("registry", "rollback", flywheel, *target, f"--reason={reason}", f"--by={who}")
        super().execute(context)
        tell(context, flywheel, Kind.MODEL, run_id=run.run_id, version=version, who=who)
