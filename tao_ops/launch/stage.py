"""How to run ``tao <stage>`` as a process: its command line and its environment."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from tao_ops.config.overrides import OPTION
from tao_ops.settings import PROJECT

PYTHON = "TAO_PYTHON"
"""Names the interpreter of the stages where it is not that of the program that starts them."""


def tao_command(*arguments: str, python: str | None = None) -> list[str]:
    """``tao`` with ``arguments``."""
    return [python or os.environ.get(PYTHON) or sys.executable, "-m", "tao_ops.cli", *arguments]


def stage_command(
    stage: str,
    flywheel: str,
    turn: str,
    run_id: str,
    *,
    shard: int | None = None,
    report: Path | None = None,
    keep_turn: bool = False,
    overrides: Iterable[str] = (),
    python: str | None = None,
) -> list[str]:
    """``tao <stage> <flywheel> --turn <key> --run-id <id>``, for one shard where one is given.

    Args:
        report: file that the stage writes its report to, as JSON.
        keep_turn: the run goes on with other stages: nobody else may take its turn in between.
        overrides: changes to the YAML for this run, ``update.method=dpo``.
    """
    options = ["--turn", turn, "--run-id", run_id]
    if shard is not None:
        options += ["--shard", str(shard)]
    if report is not None:
        options += ["--report", str(report)]
    if keep_turn:
        options.append("--keep-turn")
    for override in overrides:
        options += [OPTION, override]
    return tao_command(stage, flywheel, *options, python=python)


def stage_environment(database_url: str | None = None, hash_key: str | None = None) -> dict[str, str]:
    """This process's environment, unbuffered, without Airflow's settings and secrets: no stage needs them."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW"))}
    path = [str(PROJECT), *filter(None, [kept.get("PYTHONPATH")])]
    database = {"TAO_DATABASE_URL": database_url} if database_url else {}
    key = {"TAO_HASH_KEY": hash_key} if hash_key else {}
    return {**kept, **database, **key, "PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(path)}
