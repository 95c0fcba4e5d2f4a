"""A flywheel's assets in Airflow: its queries, its report and its model, so that other DAGs can wait for them.

An event carries references, never rows. Tasks declare an alias of the asset's name and add the asset's event at run
time: the model has one only where a champion moved; and Airflow fails a task that declares an asset itself where it
has seen the DAG for the first time within the last minute.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from airflow.sdk import Asset, AssetAlias


class Kind(StrEnum):
    """What of a flywheel is an asset."""

    QUERIES = "queries"
    """What ``ingest`` took."""
    REPORT = "report"
    """What the gate found."""
    MODEL = "model"
    """The champion."""


_OF_STAGE = {"ingest": Kind.QUERIES, "gate": Kind.REPORT, "register": Kind.MODEL}


def asset(flywheel: str, kind: Kind) -> Asset:
    """The asset ``tickets/queries``, ``tickets/report`` or ``tickets/model``."""
    return Asset(name=f"{flywheel}/{kind}", uri=f"tao://{flywheel}/{kind}")


def outlet(flywheel: str, kind: Kind) -> AssetAlias:
    """What a task declares that may have an event of the asset."""
    return AssetAlias(name=f"{flywheel}/{kind}")


def outlets(stage: str, flywheel: str) -> list[AssetAlias]:
    """What a stage's task declares."""
    return [outlet(flywheel, _OF_STAGE[stage])] if stage in _OF_STAGE else []


def tell(context: Any, flywheel: str, kind: Kind, **extra: Any) -> None:
    """Add an event of the asset to those that the task's success makes."""
    context["outlet_events"][outlet(flywheel, kind)].add(asset(flywheel, kind), extra=extra)


def tell_stage(context: Any, flywheel: str, turn: str, run_id: str, report: Mapping[str, Any]) -> None:
    """Add the event of what a stage did, where it has one."""
    stage, metrics = report["stage"], report.get("metrics") or {}
    about = {"turn": turn, "run_id": run_id}
    if stage == "ingest":
        version, rows = report.get("output_version"), report["rows_out"]
        tell(context, flywheel, Kind.QUERIES, **about, table="queries", version=version, rows=rows)
    elif stage == "gate":
        tell(context, flywheel, Kind.REPORT, **about, decision=metrics.get("decision"))
    elif stage == "register" and metrics.get("alias") == "champion":
        tell(context, flywheel, Kind.MODEL, **about, version=metrics["version"], who="gate")
