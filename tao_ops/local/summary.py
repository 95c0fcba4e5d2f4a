"""What came of a turn, as tables: printed from what ``tao turn show --json`` tells."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Column, Table

_DECISIONS = {"promote": "green", "reject": "red", "undecided": "yellow"}


def print_turn(
    shown: Mapping[str, Any],
    console: Console | None = None,
    *,
    wall_seconds: float | None = None,
    places: Mapping[str, str] | None = None,
) -> None:
    """Print stages, scores, verdict and release of a turn.

    Args:
        shown: the interface of ``tao turn show --json``.
        wall_seconds: of the whole run; what no stage took of it is shown too.
        places: further lines, a label and where to look.
    """
    console = console or Console()
    console.print()
    console.print(f"[bold]{shown['flywheel']}[/bold], turn [bold]{shown['turn']}[/bold]")
    if shown["stages"]:
        console.print(stages_table(shown["stages"], wall_seconds))
    if benchmarks := (shown.get("report") or {}).get("benchmarks"):
        console.print(benchmarks_table(benchmarks))
    if verdict := shown.get("verdict"):
        decision = str(decision_of(shown))
        console.print(f"verdict: [{_DECISIONS.get(decision, 'bold')} bold]{decision}[/]")
        for reason in verdict["reasons"]:
            console.print(f"  {reason}", markup=False, highlight=False)
    if release := shown.get("release"):
        alias = f", alias {release['alias']}" if release.get("alias") else ""
        console.print(f"registered: {release['model']} version {release['version']}{alias}", markup=False)
    for label, place in (places or {}).items():
        console.print(f"{label}: {place}", markup=False, highlight=False, soft_wrap=True)


def stages_table(stages: Mapping[str, Mapping[str, Any]], wall_seconds: float | None = None) -> Table:
    """Rows in, rows out and seconds of every stage."""
    table = Table("stage", *(_number(name) for name in ("rows in", "rows out", "seconds")), box=None, pad_edge=False)
    for name, stage in stages.items():
        table.add_row(name, f"{stage['rows_in']:,}", f"{stage['rows_out']:,}", f"{stage['seconds']:.1f}")
    if wall_seconds is not None:
        own = sum(float(stage["seconds"]) for stage in stages.values())
        table.add_row("no stage's", "", "", f"{max(0.0, wall_seconds - own):.1f}", style="dim")
        table.add_row("in all", "", "", f"{wall_seconds:.1f}", style="bold")
    return table


def benchmarks_table(benchmarks: Sequence[Mapping[str, Any]]) -> Table:
    """Scores in per cent, and the candidate's lead over the champion in points with its 95 % interval."""
    names = ("n", "champion", "control", "candidate", "lead", "95 % interval", "p")
    table = Table("benchmark", *(_number(name) for name in names), box=None, pad_edge=False)
    for row in benchmarks:
        interval = f"{_points(row.get('ci_low'))} to {_points(row.get('ci_high'))}"
        table.add_row(
            f"{row['name']} ({row['metric']})" + ("" if row.get("primary") else ", secondary"),
            f"{row['n']:,}",
            *(_percent(row.get(arm)) for arm in ("champion", "control", "candidate")),
            _points(row.get("delta")),
            interval if row.get("ci_low") is not None else "–",
            "–" if row.get("p_value") is None else f"{row['p_value']:.2g}",
        )
    return table


def closing_remark(shown: Mapping[str, Any], *, champion_was_tuned: bool) -> str | None:
    """A word on a verdict that looks like a failure and is none."""
    if champion_was_tuned and decision_of(shown) == "undecided":
        return (
            "The champion was a tuned model already. That one more turn over the same queries cannot be told apart "
            "from it is normal: the champion stays."
        )
    return None


def decision_of(shown: Mapping[str, Any]) -> str | None:
    """The gate's decision, where it has made one."""
    decision: str | None = (shown.get("verdict") or {}).get("decision")
    return decision


def _number(name: str) -> Column:
    return Column(name, justify="right")


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _points(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:+.1f}"
