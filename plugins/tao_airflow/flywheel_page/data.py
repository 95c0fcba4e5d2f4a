"""What the page shows, read from the installation that Airflow's server belongs to."""

from pathlib import Path

from tao_ops.config import flywheel_names
from tao_ops.database import database
from tao_ops.lake import Lake
from tao_ops.settings import Settings
from tao_ops.turn import path_safe
from tao_ops.views import items as of_items
from tao_ops.views import lineage as of_lineage
from tao_ops.views import overview as of_overview
from tao_ops.views import prompts as of_prompts
from tao_ops.views import releases as of_releases
from tao_ops.views import turn as of_turn
from tao_ops.views.records import (
    Backward,
    ChangedItem,
    Choices,
    Forward,
    Only,
    Overview,
    Page,
    PromptLine,
    PromptView,
    Release,
    TurnLine,
    TurnView,
)

NEWEST = 200
"""Turns among whose newest runs one is looked for; each is read."""


def flywheels() -> list[str]:
    """All flywheels: those that have a YAML, and those that have turns."""
    return sorted({*flywheel_names(), *of_overview.flywheels(_lake())})


def turned(flywheel: str) -> bool:
    """Whether a flywheel has any turn."""
    return flywheel in of_overview.flywheels(_lake())


def overview(flywheel: str, *, last: int = 30) -> Overview:
    """One flywheel at a glance."""
    with database(Settings.from_env()) as url:
        return of_overview.overview(_lake(), url, flywheel, last=last)


def turns(flywheel: str, *, page: int, size: int) -> Page[TurnLine]:
    """A flywheel's turns, newest first."""
    return of_overview.turns(_lake(), flywheel, page=page, size=size)


def releases(flywheel: str) -> tuple[Release, ...]:
    """A flywheel's versions, newest first; the last is the base model."""
    with database(Settings.from_env()) as url:
        return of_releases.releases(url, flywheel)


def turn(flywheel: str, key: str) -> TurnView:
    """One turn."""
    with database(Settings.from_env()) as url:
        return of_turn.turn_view(_lake(), url, flywheel, key)


def turn_of_run(flywheel: str, run_id: str) -> str | None:
    """The turn of one of Airflow's runs; None where the run has recorded nothing yet."""
    known = path_safe(run_id)
    newest = turns(flywheel, page=1, size=NEWEST).items
    recorded = next((line.turn for line in newest if line.run_id == known), None)
    if recorded is not None:
        return recorded
    # Another run of the turn is newer, or its turn is older; what the run left lies in a folder of its own.
    folders = Path(_lake().root, "artifacts", path_safe(flywheel)).glob(f"*/{known}")
    left = {folder.parent.name for folder in folders}
    return next((key for key in of_overview.keys(_lake(), flywheel) if path_safe(key) in left), None)


def choices(flywheel: str, key: str) -> Choices:
    """What a turn's prompts can be narrowed to."""
    return of_prompts.choices(_lake(), flywheel, key)


def prompts(
    flywheel: str,
    key: str,
    *,
    task: str | None,
    strategy: str | None,
    only: Only,
    search: str,
    page: int,
    size: int,
) -> Page[PromptLine]:
    """A turn's prompts."""
    return of_prompts.prompts(
        _lake(), flywheel, key, task=task, strategy=strategy, only=only, search=search, page=page, size=size
    )


def prompt(flywheel: str, key: str, query_id: str) -> PromptView:
    """A prompt with its candidates."""
    return of_prompts.prompt(_lake(), flywheel, key, query_id)


def changed_items(flywheel: str, key: str, benchmark: str, *, page: int, size: int) -> Page[ChangedItem]:
    """Benchmark items whose score differs between champion and candidate."""
    return of_items.changed_items(_lake(), flywheel, key, benchmark, page=page, size=size)


def backward(flywheel: str, version: int, *, page: int, size: int) -> Backward:
    """From a version back to its rows."""
    with database(Settings.from_env()) as url:
        return of_lineage.backward(_lake(), url, flywheel, version, page=page, size=size)


def forward(flywheel: str, row: str) -> Forward:
    """From a row forward to its versions."""
    with database(Settings.from_env()) as url:
        return of_lineage.forward(_lake(), url, flywheel, row)


def _lake() -> Lake:
    return Lake(Settings.from_env().lake)
