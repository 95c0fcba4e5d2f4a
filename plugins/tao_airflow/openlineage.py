"""What a stage reads and writes, as OpenLineage's datasets; Airflow's provider sends it where one has configured that.

A table of the lake is named by its address, the rest by the flywheel: ``tickets/candidate``. References and counts
only, never rows. The provider is imported by its own calls alone: without it, or without a transport, nothing is.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tao_ops.settings import Settings

NAMESPACE = "tao"
"""Of what is no table: candidates, reports, models."""

TABLES = ("queries", "prompts", "responses", "rewards", "evaluations")

FLOW: dict[str, tuple[tuple[str, ...], str]] = {
    "ingest": ((), "queries"),
    "validate": (("queries",), "prompts"),
    "generate": (("prompts", "model"), "responses"),
    "score": (("prompts", "responses"), "rewards"),
    "update": (("prompts", "responses", "rewards", "model"), "candidate"),
    "evaluate": (("candidate", "model"), "evaluations"),
    "gate": (("evaluations",), "report"),
    "register": (("candidate", "report"), "model"),
}
"""What each stage reads, and the one thing that it writes."""


def lineage(stage: str, flywheel: str, report: Mapping[str, Any] | None) -> Any:
    """The provider's ``OperatorLineage`` of a stage; without its report, before it ran, no versions and counts."""
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import InputDataset, OutputDataset
    from openlineage.client.facet_v2 import dataset_version_dataset, output_statistics_output_dataset

    def version(value: Any) -> dict[str, Any]:
        if value is None:
            return {}
        return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=str(value))}

    told = report or {}
    reads, written = FLOW[stage]
    inputs = [
        InputDataset(*address(flywheel, name), facets=version((told.get("inputs") or {}).get(name))) for name in reads
    ]
    statistics = {}
    if "rows_out" in told:
        statistics["outputStatistics"] = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=told["rows_out"]
        )
    output = OutputDataset(*address(flywheel, written), facets=version(_written_version(told)), outputFacets=statistics)
    return OperatorLineage(inputs=inputs, outputs=[output])


def address(flywheel: str, name: str) -> tuple[str, str]:
    """Namespace and name of a dataset, as OpenLineage names folders and buckets.

    >>> address("tickets", "candidate")
    ('tao', 'tickets/candidate')
    """
    if name not in TABLES:
        return NAMESPACE, f"{flywheel}/{name}"
    lake = Settings.from_env().lake.rstrip("/")
    if "://" not in lake:
        return "file", str(Path(lake).resolve() / name)
    scheme, _, rest = lake.partition("://")
    bucket, _, folder = rest.partition("/")
    return f"{scheme}://{bucket}", "/".join(filter(None, [folder, name]))


def _written_version(report: Mapping[str, Any]) -> Any:
    metrics = report.get("metrics") or {}
    found = report.get("output_version")
    return next((v for v in (found, metrics.get("version"), metrics.get("candidate")) if v is not None), None)
