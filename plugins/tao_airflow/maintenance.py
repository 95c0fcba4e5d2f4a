"""The upkeep of the tables, weekly or from a form: ``tao lake maintain``."""

from collections.abc import Iterator, Sequence
from typing import Any

from airflow.sdk import Param

from tao_airflow.forms import Form, FormOperator, one_or_all_flywheels

NAME = "maintenance"


def form(flywheels: Sequence[str]) -> dict[str, Param]:
    """The fields of the form, which a scheduled run takes as they are."""
    return {
        "flywheel": one_or_all_flywheels(flywheels, description="Whose rows, files and versions."),
        "dry_run": Param(
            False, type="boolean", title="Dry run", description="Only counts what would go, and changes nothing."
        ),
        "keep_files": Param(
            "7d",
            type="string",
            pattern=r"^[1-9]\d{0,3}[dh]$",
            title="Keep files",
            description="How long the files of older versions stay, a day at least: 7d, 36h.",
        ),
    }


class MaintenanceOperator(FormOperator):
    """``tao lake maintain [FLYWHEEL] --keep-files 7d [--dry-run]``."""

    def commands(self, form: Form, run: Any) -> Iterator[tuple[str, ...]]:
        """The one command."""
        one = () if form.get("flywheel") is None else (form["flywheel"],)
        dry = ("--dry-run",) if form["dry_run"] else ()
        yield ("lake", "maintain", *one, "--keep-files", form["keep_files"], *dry)
