"""How to run ``tao <stage>`` as a process: its command line and its environment."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from tao_ops.config.overrides import OPTION
from tao_ops.errors import ConfigError
from tao_ops.settings import PROJECT, is_project
from tao_ops.turn import path_safe

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
    # Among installed packages it would put Airflow's before those of the stages' own interpreter.
    path = [*([str(PROJECT)] if is_project() else []), *filter(None, [kept.get("PYTHONPATH")])]
    database = {"TAO_DATABASE_URL": database_url} if database_url else {}
    key = {"TAO_HASH_KEY": hash_key} if hash_key else {}
    return {**kept, **database, **key, "PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(path)}


def remote_report(lake: str, flywheel: str, turn: str, run_id: str, stage: str, shard: int | None = None) -> Path:
    """Where a stage that runs on another machine writes its report: beside the run's artifacts, in the shared lake.

    Args:
        lake: the lake's folder as the machine sees it that uses the path.
        turn: the turn's key.

    Raises:
        ConfigError: the lake is no folder.
    """
    if "://" in lake:
        raise ConfigError(
            "a stage on another machine tells its report by a file, and this lake is no folder",
            where=f"TAO_LAKE: {lake}",
            mend="mount the lake on Airflow's workers and on the machines of the stages",
        )
    name = stage if shard is None else f"{stage}-{shard}"
    return Path(lake, "artifacts", flywheel, path_safe(turn), path_safe(run_id), "reports", f"{name}.json")
