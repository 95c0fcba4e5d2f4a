"""What the DAGs with a form share: fields that Airflow checks before a run starts, and tasks that do what it says."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from airflow.sdk import Param

from tao_airflow.approval import in_one_line
from tao_airflow.command_operator import CommandOperator
from tao_ops.config import Flywheel, flywheel_names, load_flywheel
from tao_ops.errors import ConfigError

Form = Mapping[str, Any]
"""A run's form as it was filled in."""

LONGEST_REASON = 1000


def readable_flywheels() -> list[Flywheel]:
    """All flywheels but those whose YAML is wrong: ``config_errors.py`` shows these."""
    found = []
    for name in flywheel_names():
        with suppress(ConfigError):
            found.append(load_flywheel(name))
    return found


def names(flywheels: Sequence[Flywheel]) -> list[str]:
    """What a form has to choose from."""
    return [flywheel.name for flywheel in flywheels]


def one_flywheel(flywheels: Sequence[str], **told: Any) -> Param:
    """A field that has to be chosen."""
    choice: dict[str, Any] = {"enum": list(flywheels)} if flywheels else {}
    return Param(type="string", title="Flywheel", **choice, **told)


def one_or_all_flywheels(flywheels: Sequence[str], **told: Any) -> Param:
    """A field that means all where nothing is chosen."""
    return one_or_all("Flywheel", {name: name for name in flywheels}, otherwise="all flywheels", **told)


def one_or_all(title: str, choices: Mapping[str, str], *, otherwise: str, **told: Any) -> Param:
    """A choice, by value what is shown of it, with ``otherwise`` for none of them."""
    return Param(
        None,
        type=["null", "string"],
        title=title,
        enum=[None, *choices],
        values_display={"null": otherwise, **choices},
        **told,
    )


def reason(description: str) -> Param:
    """A field that is never blank."""
    return Param(
        type="string", minLength=1, maxLength=LONGEST_REASON, pattern=r"\S", title="Reason", description=description
    )


def signed(form: Form, run: Any) -> tuple[str, str]:
    """The options ``--reason`` and ``--by`` of a command: who started the run is who decides."""
    who = run.triggering_user_name or f"run {run.run_id}"
    return f"--reason={in_one_line(form['reason'])}", f"--by={who}"


class FormOperator(CommandOperator):
    """Runs the commands of ``tao`` that a run's form asks for, one after the other."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(command=(), **kwargs)

    def commands(self, form: Form, run: Any) -> Iterator[tuple[str, ...]]:
        """What the form asks for, without ``tao``."""
        raise NotImplementedError

    def execute(self, context: Any) -> None:
        """Run them to their end; where one fails, those after it are not run."""
        for command in self.commands(context["params"], context["dag_run"]):
            self.log.info("tao %s", shlex.join(command))
            self.command = command
            super().execute(context)
