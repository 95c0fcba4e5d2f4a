"""Takes a promotion back from a form: ``tao registry rollback``."""

from collections.abc import Iterator
from typing import Any

from airflow.sdk import Param

from tao_airflow.assets import Kind, outlet, tell
from tao_airflow.forms import Form, FormOperator, one_flywheel, reason, signed

NAME = "rollback"


def form(flywheels: list[str]) -> dict[str, Param]:
    """The fields of the form; Airflow starts no run where one of them is wrong."""
    return {
        "flywheel": one_flywheel(flywheels),
        "version": Param(
            None,
            type=["null", "integer"],
            exclusiveMinimum=-1,  # with a minimum the form makes 0, the base model, of -3 without a word
            title="Version",
            description="Becomes the champion; 0 is the base model. Empty: the champion before this one.",
        ),
        "reason": reason("Kept in the registry's history, with your name."),
    }


class RollbackOperator(FormOperator):
    """``tao registry rollback FLYWHEEL [--to VERSION] --reason … --by …``, by who started the run."""

    def __init__(self, *, flywheels: list[str], **kwargs: Any) -> None:
        super().__init__(outlets=[outlet(flywheel, Kind.MODEL) for flywheel in flywheels], **kwargs)

    def commands(self, form: Form, run: Any) -> Iterator[tuple[str, ...]]:
        """The one command."""
        version = form.get("version")
        target = () if version is None else ("--to", str(int(version)))
        yield ("registry", "rollback", form["flywheel"], *target, *signed(form, run))

    def execute(self, context: Any) -> None:
        """Run the command to its end, and tell of the model that may be another now."""
        super().execute(context)
        form, run = context["params"], context["dag_run"]
        who = signed(form, run)[1].removeprefix("--by=")
        about = {"run_id": run.run_id, "version": form.get("version"), "who": who}
        tell(context, form["flywheel"], Kind.MODEL, **about)
