"""A suite against a day: which queries fail, and what is to be said of the day as a whole."""

import logging
import numbers
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tao_ops.errors import ConfigError
from tao_ops.expectations.suite import PLACE, About, Expectation, Suite

_COUNTS = ("element_count", "missing_count", "unexpected_count")
_PERCENTS = ("missing_percent", "unexpected_percent", "unexpected_percent_nonmissing", "unexpected_percent_total")


@dataclass
class Checked:
    """What a suite says of a day.

    Attributes:
        failed_rows: the index of each query that belongs in quarantine, with its first failed expectation in words.
        failures: in words, what fails the task.
        warnings: in words, what does not.
        results: Great Expectations' results in the order of the suite, numbers only: no text of any query.
    """

    failed_rows: dict[int, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)


def check(suite: Suite, rows: Mapping[str, Sequence[Any]], day: Mapping[str, float | None]) -> Checked:
    """Check a day's queries, and the day.

    Args:
        rows: columns of :func:`tao_ops.observations.rows`, of equal lengths.
        day: those of :func:`tao_ops.observations.day`.

    Raises:
        ConfigError: an expectation cannot be computed.
    """
    import pandas as pd

    of_rows = [one for one in suite.expectations if one.about is not About.DAY]
    of_day = [one for one in suite.expectations if one.about is About.DAY]
    outcomes = _validate(pd.DataFrame(dict(rows)), of_rows) + _validate(pd.DataFrame([day]), of_day)
    checked = Checked()
    for place, outcome in sorted(outcomes, key=lambda one: one[0]):
        expectation = suite.expectations[place]
        if _raised(outcome):
            where = f"{suite.path}: {expectation.words}"
            raise ConfigError("the expectation cannot be computed", where=where, mend="mend its kwargs")
        if not outcome.success:
            _failed(checked, expectation, outcome, day)
        checked.results.append(_numbers(outcome, expectation, day))
    return checked


def _validate(frame: Any, expectations: Sequence[Expectation]) -> list[tuple[int, Any]]:
    """Each expectation's place in the suite and its result."""
    if not expectations:
        return []
    import great_expectations as gx

    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="great_expectations")
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("lake").add_dataframe_asset("queries")
    batch = asset.add_batch_definition_whole_dataframe("day").get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name="suite", expectations=[one.gx for one in expectations])
    # COMPLETE: every failing row's index, not the first twenty.
    results = batch.validate(suite, result_format="COMPLETE").results
    return [(int(result.expectation_config.meta[PLACE]), result) for result in results]


def _raised(outcome: Any) -> bool:
    info = outcome.exception_info
    return any(one.get("raised_exception") for one in [info, *info.values()] if isinstance(one, dict))


def _failed(checked: Checked, expectation: Expectation, outcome: Any, day: Mapping[str, float | None]) -> None:
    result = outcome.result
    if expectation.about is About.ROW:
        if expectation.critical:
            for index in result["unexpected_index_list"]:
                checked.failed_rows.setdefault(int(index), expectation.words)
            return
        told = f"{result['unexpected_count']} of {result['element_count']} queries fail"
    elif expectation.about is About.DAY:
        told = _of_the_day(expectation, day)
    elif "unexpected_percent" in result:
        told = f"{_number(result['unexpected_percent'])} % of the queries fail"
    else:
        seen = result.get("observed_value")
        told = f"it is {_number(seen)}" if _is_number(seen) else "it is not so"
    (checked.failures if expectation.critical else checked.warnings).append(f"{expectation.words}: {told}")


def _numbers(outcome: Any, expectation: Expectation, day: Mapping[str, float | None]) -> Any:
    """The result with its numbers alone: Data Docs outlive the erasure of a query."""
    from great_expectations.core import ExpectationValidationResult

    observed = outcome.result.get("observed_value")
    kept = {name: outcome.result[name] for name in (*_COUNTS, *_PERCENTS) if name in outcome.result}
    if expectation.about is About.DAY:
        kept = {"observed_value": _of_the_day(expectation, day)}
    elif _is_number(observed):
        kept["observed_value"] = float(observed)
    return ExpectationValidationResult(
        success=outcome.success, expectation_config=outcome.expectation_config, result=kept
    )


def _of_the_day(expectation: Expectation, day: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} is {_number(day[name])}" for name in sorted(expectation.columns))


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real)


def _number(value: float | None) -> str:
    return "null" if value is None else f"{value:.4g}" if value != round(value) else f"{value:.0f}"
