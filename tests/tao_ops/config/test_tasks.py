"""A benchmark's entry says how it is asked and scored, or one line says what cannot be."""

from typing import Any

import pytest
from pydantic import ValidationError

from tao_ops.benchmarks.metrics import METRICS
from tao_ops.config import BenchmarkConfig, BenchmarkFormat

JUDGE = {"rubric": "rubric.txt", "model": "/models/judge"}


def _benchmark(**entry: Any) -> BenchmarkConfig:
    return BenchmarkConfig.model_validate({"name": "exam", "path": "exam", **entry})


@pytest.mark.parametrize(
    ("entry", "scored_by"),
    [
        ({}, "exact_json"),
        ({"metric": "exact_text"}, "exact_text"),
        ({"metric": "judge", "judge": JUDGE}, "judge"),
        ({"scorer": {"name": "numeric"}}, "numeric"),
        ({"scorer": {"kind": "own", "name": "mine", "file": "mine.py"}}, "mine"),
        ({"format": "bird"}, "execution_accuracy"),
        ({"format": "bird", "metric": "execution_accuracy"}, "execution_accuracy"),
        ({"format": "ifeval"}, "instructions"),
        ({"format": "harness", "harness": "arc_easy"}, "acc"),
        ({"format": "harness", "harness": "gsm8k", "metric": "exact_match,strict-match"}, "exact_match,strict-match"),
        ({"format": "holdout", "path": None, "judge": JUDGE}, "preference"),
    ],
)
def test_what_a_benchmark_is_scored_by(entry: dict[str, Any], scored_by: str) -> None:
    assert _benchmark(**entry).scored_by == scored_by


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"metric": "execution_accuracy"}, "unknown metric 'execution_accuracy': name one of exact_json, exact_text"),
        ({"format": "gsm8k", "metric": "f1"}, "name one of exact_json, exact_text, judge, numeric"),
        ({"scorer": {"name": "numeric"}, "metric": "exact_json"}, "a 'metric' or a 'scorer', not both"),
        ({"scorer": {"name": "judge", **JUDGE}}, "give it 'metric: judge' and 'judge'"),
        ({"scorer": {"name": "consensus"}}, "'consensus' scores no output alone"),
        ({"scorer": {"name": "length", "most": 5}}, "'length' scores no output alone"),
        ({"scorer": {"name": "reward_model", "model": "/m"}}, "'reward_model' scores no output alone"),
        ({"format": "harness"}, "needs 'harness'"),
        ({"harness": "arc_easy"}, "no other format takes it"),
        ({"format": "harness", "harness": "arc_easy", "template": "ask.txt"}, "it takes no more"),
        ({"format": "harness", "harness": "arc_easy", "scorer": {"name": "numeric"}}, "it takes no more"),
        ({"path": None}, "has a 'path', unless its format is holdout"),
        ({"format": "holdout", "path": None}, "'format: holdout' needs a 'judge'"),
        ({"format": "holdout", "path": None, "judge": {**JUDGE, "mode": "single"}}, "both answers of a query"),
        ({"limit": 0}, "greater than or equal to 1"),
    ],
)
def test_a_benchmark_that_cannot_be_scored_is_refused(entry: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        _benchmark(**entry)
    assert says in str(caught.value)


def test_the_metrics_that_an_entry_may_name_are_there() -> None:
    for metric in METRICS:
        assert _benchmark(metric=metric).scored_by == metric
    for each in BenchmarkFormat:
        if each not in (BenchmarkFormat.HARNESS, BenchmarkFormat.HOLDOUT):
            assert _benchmark(format=each).scored_by
