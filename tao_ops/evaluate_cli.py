"""``tao registry evaluate``: a version on benchmarks, whenever somebody asks."""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from tao_ops.cli_errors import EXIT_RETRY, readable_errors
from tao_ops.figures import interval, percent
from tao_ops.terminal import aside, say

_WIDTH = 160


def evaluate_command(
    name: Annotated[str, typer.Argument(help="The flywheel: a file of include/flywheels/, without .yaml.")],
    version: Annotated[
        int | None, typer.Argument(min=0, help="The version's number; 0 is the base model; default: the champion.")
    ] = None,
    benchmark: Annotated[
        list[str] | None, typer.Option("--benchmark", help="Its name; may be given again; default: all.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="The first so many items of each.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON on standard output, and the log on standard error.")
    ] = False,
) -> None:
    """Score any version on any benchmark as a turn would; no table is written, and the champion stays.

    Scores that a turn has stored for the same model, items, prompt, decoding and engine are not asked for again.
    """
    from tao_ops.config import load_flywheel
    from tao_ops.database import database
    from tao_ops.evaluating import one_version
    from tao_ops.lake import open_lake
    from tao_ops.registry import open_registry
    from tao_ops.settings import Settings

    now, tell = datetime.now(UTC), aside if as_json else say
    with readable_errors(EXIT_RETRY):
        settings = Settings.from_env()
        flywheel = one_version.narrowed(load_flywheel(name, settings), benchmark or [], limit)
        with database(settings) as url:
            place = one_version.Place(open_lake(settings.lake), open_registry(url, settings), url, settings, tell)
            model = one_version.find_model(flywheel, version, place)
            tell(f"evaluate: {name}, version {model.version} ({model.model_version})")
            report = one_version.evaluate(flywheel, model, place, now=now)
            path = one_version.keep(report, place.lake, now=now)
    if as_json:
        print(json.dumps({**report, "file": str(path)}, indent=2))
        return
    _console().print(_table(report))
    tell(f"report: {path}")


def _table(report: Mapping[str, Any]) -> Table:
    numbers = (Column(title, justify="right") for title in ("n", "score", "95 %"))
    table = Table("benchmark", "metric", *numbers, "scores", box=None, pad_edge=False)
    for line in report["benchmarks"]:
        metric = line["metric"] if line["against"] is None else f"{line['metric']} over version {line['against']}"
        table.add_row(line["name"], metric, *_figures(line), "stored" if line["reused"] else "new")
        for one in line["slices"]:
            table.add_row(f"  {one['slice']}", "", *_figures(one), "")
    return table


def _figures(told: Mapping[str, Any]) -> tuple[str, str, str]:
    return f"{told['n']:,}", percent(told["score"]), interval(told["low"], told["high"]).strip()


def _console() -> Console:
    """A terminal's width, or in a pipe or a file one that holds a whole row."""
    return Console() if sys.stdout.isatty() else Console(width=_WIDTH)
