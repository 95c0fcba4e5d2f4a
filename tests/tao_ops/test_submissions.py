"""What MLflow is told of a candidate are the figures that its verdict rests on."""

from typing import Any

import pytest

from tao_ops import submissions
from tao_ops.submissions import Submission

LINES = [
    {"name": "exam", "primary": True, "champion": 0.5, "candidate": 0.7, "delta": 0.2, "p_value": 0.001},
    {"name": "other", "champion": 0.4, "candidate": 0.5, "delta": 0.1, "p_value": 0.02},
]


def _found(benchmark: str, slice_: str, delta: float) -> dict[str, Any]:
    return {"benchmark": benchmark, "slice": slice_, "delta": delta, "p_value": 0.25, "corrected_p": 0.5}


def _submission(champion: int, *findings: dict[str, Any]) -> Submission:
    base = {"version": 3, "model_version": "b3"}
    candidate = {
        "model_version": "c",
        "path": "/m",
        "architecture": "A",
        "parameters": 1,
        "dtype": "BF16",
        "base": base,
    }
    verdict = {"decision": "reject", "champion": {"version": champion}, "findings": list(findings)}
    report = {"champion": {"version": 3}, "benchmarks": LINES}
    return Submission("tickets", "2026-11-21T00:00Z", "r1", candidate, report, verdict, "/m/manifest.json")


def test_what_was_decided_again_is_told_against_the_champion_of_the_verdict() -> None:
    again = _submission(4, _found("exam", "language=de", -0.5), _found("exam", "", -0.05))
    told = submissions.tags(again)
    assert (told["tao.score"], told["tao.delta"]) == ("0.7", "-0.05")
    logged = submissions._metrics(again)
    assert logged["exam.delta"] == -0.05 and logged["exam.p_value"] == 0.25
    assert logged["exam.champion"] == pytest.approx(0.75) and logged["exam.candidate"] == 0.7
    # No finding names it: the report's figures stay.
    assert logged["other.delta"] == 0.1 and logged["other.p_value"] == 0.02


def test_without_findings_the_reports_figures_are_told() -> None:
    assert submissions.tags(_submission(3))["tao.delta"] == "0.2"
    assert submissions._metrics(_submission(3))["exam.champion"] == 0.5
