"""Great Expectations suites from ``include/expectations/``: which rows fail which expectation."""

import json
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tao_ops.errors import ConfigError

ROW = "row"
"""Index of the row in what was given to :func:`failing_rows`."""


def failing_rows(path: Path, rows: Sequence[dict[str, Any]]) -> tuple[dict[int, str], list[str]]:
    """Check ``rows`` (same keys in each) against a suite.

    Returns:
        The index of each failing row with its first failed expectation in words, and, in words, the expectations
        about the table as a whole that failed.

    Raises:
        ConfigError: the file is not a suite, or an expectation cannot be computed.
    """
    import great_expectations as gx
    import pandas as pd

    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="great_expectations")
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    suite = load_suite(path)
    frame = pd.DataFrame(list(rows)).assign(**{ROW: range(len(rows))})
    batch = (
        context.data_sources.add_pandas("lake").add_dataframe_asset("rows").add_batch_definition_whole_dataframe("all")
    )
    result = batch.get_batch({"dataframe": frame}).validate(
        suite, result_format={"result_format": "COMPLETE", "unexpected_index_column_names": [ROW]}
    )
    failed_rows: dict[int, str] = {}
    failed_tables: list[str] = []
    for outcome in result.results:
        config = outcome.expectation_config
        words = _words(config.type, config.kwargs)
        if outcome.exception_info.get("raised_exception") or any(
            isinstance(info, dict) and info.get("raised_exception") for info in outcome.exception_info.values()
        ):
            raise ConfigError("the expectation cannot be computed", where=f"{path}: {words}", mend="mend its kwargs")
        if outcome.success:
            continue
        index = outcome.result.get("unexpected_index_list")
        if index is None:
            failed_tables.append(words)
        for entry in index or []:
            failed_rows.setdefault(int(entry[ROW]), words)
    return failed_rows, failed_tables


def load_suite(path: Path) -> Any:
    """A suite from its JSON file.

    Raises:
        ConfigError: it is none; the message shows the form.
    """
    import great_expectations as gx
    from great_expectations.exceptions import GreatExpectationsError

    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return gx.ExpectationSuite(name=raw["name"], expectations=raw["expectations"])
    except (ValueError, KeyError, TypeError, AttributeError, GreatExpectationsError) as error:
        raise ConfigError(
            f"not a suite of expectations: {type(error).__name__}: {error}",
            where=path,
            mend='write {"name": …, "expectations": [{"type": …, "kwargs": {…}}]}',
        ) from None


def _words(kind: str, kwargs: dict[str, Any]) -> str:
    shown = {k: v for k, v in kwargs.items() if k not in ("batch_id", "result_format")}
    return f"{kind}({', '.join(f'{k}={v!r}' for k, v in shown.items())})"
