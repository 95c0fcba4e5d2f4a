"""A stand-in for the stages' processes."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

STAND_IN = """#!{python} -u
import json, os, signal, subprocess, sys, time
arguments = sys.argv[3:]
assert sys.argv[1:3] == ["-m", "tao_ops.cli"]
with open({calls!r}, "a") as calls:
    print(json.dumps({{"arguments": arguments, "environment": dict(os.environ)}}), file=calls)
{behaviour}
if "--report" in arguments:
    with open(arguments[arguments.index("--report") + 1], "w") as report:
        json.dump({{"stage": arguments[0], "rows_in": 3, "rows_out": 2, "metrics": {{"shards": 2}}}}, report)
"""


class StandIn:
    """A program in the place of the stages' interpreter."""

    def __init__(self, folder: Path) -> None:
        self.path, self._calls = folder / "python", folder / "calls.jsonl"
        self.does("pass")

    def does(self, behaviour: str) -> None:
        """Python that it runs before it writes its report."""
        text = STAND_IN.format(python=sys.executable, calls=str(self._calls), behaviour=behaviour)
        self.path.write_text(text, encoding="utf-8")
        self.path.chmod(0o755)

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Arguments and environment of every call so far."""
        return [json.loads(line) for line in self._calls.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    made = StandIn(tmp_path)
    monkeypatch.setenv("TAO_PYTHON", str(made.path))
    return made


@pytest.fixture
def task_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a stage operator tells in its task's log; Airflow warns there that a test calls it."""
    from tao_airflow.stage_operator import StageOperator

    lines: list[str] = []
    logger = logging.getLogger("task of a test")
    logger.setLevel(logging.INFO)
    handler = logging.Handler()
    handler.addFilter(lambda record: record.levelno == logging.INFO)
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    monkeypatch.setattr(StageOperator, "log", logger)
    yield lines
    logger.removeHandler(handler)


@pytest.fixture
def context() -> Callable[..., dict[str, Any]]:
    """Makes a task's context: by default of the scheduled run of 21 November 2026."""

    def make(**changes: Any) -> dict[str, Any]:
        params = changes.pop("params", {})
        run = {
            "run_id": "scheduled__2026-11-22T00:00:00+00:00",
            "run_type": "scheduled",
            "logical_date": datetime(2026, 11, 21, tzinfo=UTC),
            "data_interval_start": datetime(2026, 11, 21, tzinfo=UTC),
            "data_interval_end": datetime(2026, 11, 22, tzinfo=UTC),
            "run_after": datetime(2026, 11, 22, tzinfo=UTC),
        }
        pushed: dict[str, Any] = {}
        ti = SimpleNamespace(pushed=pushed, xcom_push=lambda key, value: pushed.update({key: value}))
        return {"dag_run": SimpleNamespace(**{**run, **changes}), "params": params, "ti": ti}

    return make
