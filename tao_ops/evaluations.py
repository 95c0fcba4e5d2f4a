"""Stored evaluations, read back as the reports that the gate's rule compares."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tao_ops.benchmarks.reports import BenchmarkScores, Fall, Output, Report
from tao_ops.errors import MissingInput
from tao_ops.files import read_json
from tao_ops.lake import Lake
from tao_ops.models import ModelFacts
from tao_ops.tables import EVALUATIONS

_ARMS = ("champion", "candidate")
"""Both ask with the production prompt; the control's scores are of another."""
_FACTS = ("model_version", "architecture", "parameters", "dtype")


def read_report(artifacts: Path) -> dict[str, Any]:
    """``report.json`` of a run.

    Raises:
        MissingInput: ``evaluate`` has not run.
    """
    return read_json(artifacts / "report.json", mend="run evaluate first")


def facts_of(model: Mapping[str, Any]) -> ModelFacts:
    """The facts in one model's entry of a report."""
    return ModelFacts(**{name: model[name] for name in _FACTS})


def stored_report(lake: Lake, report: Mapping[str, Any], facts: ModelFacts) -> Report:
    """A model's scores on the benchmarks of ``report``, under its prompts, decoding and engine.

    The scores may be of an earlier turn, and of the time when today's champion was a candidate. What a token took is
    known of the two models of ``report`` alone, and contamination of its candidate.

    Raises:
        MissingInput: a benchmark's scores are not stored for this model, or not all of them.
    """
    benchmarks = {line["name"]: _scores(lake, report, line, facts.model_version) for line in report["benchmarks"]}
    of_candidate = facts.model_version == report["candidate"]["model_version"]
    of_champion = facts.model_version == report["champion"]["model_version"]
    arm = "candidate" if of_candidate else "champion" if of_champion else None
    return Report(
        facts,
        benchmarks,
        report["engine"],
        seconds_a_token=report.get("seconds_a_token", {}).get(arm),
        contaminated=report.get("contaminated", 0) if of_candidate else 0,
        fallen=[Fall(**fall) for fall in report.get("fallen", ())] if of_candidate else (),
    )


def _scores(lake: Lake, report: Mapping[str, Any], line: Mapping[str, Any], model_version: str) -> BenchmarkScores:
    prompt_digest = report["prompt_digests"][line["task"]]
    decoding_digest = report["decoding_digests"][line["task"]]
    rows = lake.read(
        EVALUATIONS,
        columns=["turn", "item_id", "score", "tokens", "flags", "reward"],
        flywheel=report["flywheel"],
        model_version=model_version,
        arm=_ARMS,
        prompt_digest=prompt_digest,
        decoding_digest=decoding_digest,
        engine=report["engine"],
        benchmark=line["name"],
        benchmark_version=line["version"],
    ).to_pylist()
    # Of several turns' rows of an item the report's own turn counts, else the newest.
    rows.sort(key=lambda row: (row["turn"] == report["turn"], row["turn"]))
    by_item = {row["item_id"]: row for row in rows}
    if len(by_item) != line["n"]:
        raise MissingInput(
            f"{len(by_item)} of {line['n']} scores of model {model_version} on {line['name']} are stored",
            where=lake.uri(EVALUATIONS),
            mend="run evaluate again",
        )
    # Another model's rewards are of its own turn's scorers, which may not be those of the report.
    rewarded = model_version in {report[arm]["model_version"] for arm in _ARMS}
    slices: Mapping[str, Sequence[str]] = report.get("slice_items", {}).get(line["name"], {})
    return BenchmarkScores(
        line["name"],
        line["version"],
        line["metric"],
        line["primary"],
        {item: math.nan if row["score"] is None else row["score"] for item, row in by_item.items()},
        prompt_digest,
        decoding_digest,
        task=line["task"],
        slices=slices,
        outputs={item: _output(row, rewarded) for item, row in by_item.items() if row["flags"] is not None},
    )


def _output(row: Mapping[str, Any], rewarded: bool) -> Output:
    return Output(row["tokens"], tuple(row["flags"]), row["reward"] if rewarded else None)
